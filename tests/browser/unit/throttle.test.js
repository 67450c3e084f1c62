import assert from "node:assert/strict";
import { test } from "node:test";

import { throttled } from "../../../crates/web/dashboard/js/lib/throttle.js";

// When calls were made that these events asked for, in milliseconds.
function calls(t, events) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let now = 0;
  const made = [];
  const call = throttled(() => made.push(now), { every: 250, settle: 30, clock: () => now });
  for (; now < 2_000; now += 1, t.mock.timers.tick(1)) if (events.includes(now)) call();
  return made;
}

test("a call is made once what it asks for has settled", (t) => {
  assert.deepEqual(calls(t, [0]), [30]);
});

test("many events are one call, then one in a while", (t) => {
  const made = calls(t, Array.from({ length: 400 }, (_, at) => at));
  assert.ok(made.length <= 4 && made.at(-1) >= 399 + 30, made.join(" "));
  for (const [at, one] of made.entries()) assert.ok(at === 0 || one - made[at - 1] >= 250, made.join(" "));
});

test("an event right before a call has another one", (t) => {
  assert.deepEqual(calls(t, [0, 29]), [30, 280]);
});
