import assert from "node:assert/strict";
import { test } from "node:test";

import { troubleFirst } from "../../../crates/web/dashboard/js/views/agents.data.js";

const fleet = (...all) => all.map((one) => {
  const [name, status = "idle"] = one.split(" ");
  return { name, status };
});
const names = (agents) => agents.map(({ name }) => name);

test("who needs attention comes first, the worst on top, and alike ones by name", () => {
  const order = troubleFirst();
  assert.deepEqual(names(order(fleet("z running", "c backing_off", "b error", "y stopped", "a error", "x disabled", "d missing"))), ["a", "b", "d", "c", "x", "y", "z"]);
});

test("a change of a status moves one row, and whether one runs or rests none", () => {
  const order = troubleFirst();
  assert.deepEqual(names(order(fleet("b", "a", "c"))), ["a", "b", "c"]);
  assert.deepEqual(names(order(fleet("b running", "a queued", "c"))), ["a", "b", "c"]);
  assert.deepEqual(names(order(fleet("b", "a", "c timeout"))), ["c", "a", "b"]);
});

test("agents that come and go are in their places", () => {
  const order = troubleFirst();
  order(fleet("b", "a"));
  assert.deepEqual(names(order(fleet("b", "c", "a"))), ["a", "b", "c"]);
  assert.deepEqual(names(order(fleet("b", "d"))), ["b", "d"]);
});

test("a change costs one look at each agent, not a sort", () => {
  const order = troubleFirst();
  let looks = 0;
  const agents = Array.from({ length: 1_000 }, (_, at) => ({ get name() { looks += 1; return `job-${(at * 919) % 1_000}`; }, status: at % 9 ? "idle" : "error" }));
  order(agents);
  looks = 0;
  order(agents);
  assert.equal(looks, 1_000);
});
