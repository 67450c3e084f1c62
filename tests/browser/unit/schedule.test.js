import assert from "node:assert/strict";
import { test } from "node:test";

import { count } from "../../../crates/web/dashboard/js/lib/format.js";
import { collisions, crowd, forecasts, goingOn, marks, often, question, search, timeline } from "../../../crates/web/dashboard/js/views/schedule.data.js";

const run = (agent, at) => ({ agent, at, scheduledFor: at, trigger: "schedule" });
const NINE = Date.parse("2026-11-21T09:00:00Z");

test("there is a row per agent, and who is due first is on top", () => {
  const runs = [run("b", "2026-11-21T09:00:05Z"), run("a", "2026-11-21T09:00:10Z"), run("b", "2026-11-21T09:00:15Z")];
  const rows = timeline(runs, new Map([["b", { department: "sales", schedule: "*/5 * * * *", status: "idle" }]]));
  assert.deepEqual(rows.map((row) => [row.name, row.department, row.times.length]), [["b", "sales", 2], ["a", "", 1]]);
  assert.deepEqual(search(rows, "*/5").map((row) => row.name), ["b"]);
  assert.deepEqual(search(rows, " SAL ").map((row) => row.name), ["b"]);
});

test("marks that lie on each other melt into one", () => {
  const times = [0, 1, 2, 500, 2_000].map((ms) => NINE + ms);
  assert.deepEqual(marks(times, NINE, 1_000, 0.01), [{ from: 0, to: 0.002, count: 3, gaps: [1, 1] }, { from: 0.5, to: 0.5, count: 1 }]);
});

test("an agent that runs every second of a day is few marks", () => {
  const times = Array.from({ length: 10_000 }, (_, second) => NINE + second * 1_000);
  assert.equal(marks(times, NINE, 86_400_000).length, 1);
});

test("a band says how often it is, and goes on to the end where only the first times were told", () => {
  const day = 86_400_000;
  const every = (step, runs) => Array.from({ length: runs }, (_, at) => NINE + at * step);
  const band = (times, span = day) => often(marks(times, NINE, span)[0], span);
  assert.equal(band(every(2_000, 400)), "every 2s");
  assert.equal(band(every(250, 400)), "every 250 ms");
  assert.equal(band(every(300_000, 100)), "every 5m");
  assert.equal(band(every(2_000, 2)), null);
  assert.equal(band(every(2_000, 400).map((time, at) => time + (at % 2) * 900)), `about ${count(1_800)} an hour`);
  const [on] = goingOn(marks(every(2_000, 400), NINE, day));
  assert.deepEqual([on.from, on.to, on.count], [0, 1, 43_201]);
  assert.equal(often(on, day), "every 2s");
  assert.deepEqual(goingOn(marks([NINE], NINE, day)), marks([NINE], NINE, day));
});

test("a collision is a second with more than there are workers", () => {
  const runs = [run("a", "2026-11-21T09:00:00.100Z"), run("b", "2026-11-21T09:00:00.900Z"), run("b", "2026-11-21T09:00:00.950Z"),
    run("c", "2026-11-21T09:00:01Z")];
  assert.deepEqual(collisions(runs, 2), [{ at: NINE, due: 3, agents: ["a", "b"] }]);
  assert.deepEqual(collisions(runs, 3), []);
  const bars = crowd(timeline(runs), NINE, 2_000, 2, collisions(runs, 2));
  assert.deepEqual(bars.map(({ due, crowded }) => [due, crowded]), [[3, true], [1, false]]);
});

test("who goes on as regularly is counted to the end", () => {
  const rows = [{ name: "a", times: [0, 100, 200].map((ms) => NINE + ms) }];
  assert.deepEqual(crowd(rows, NINE, 1_000, 2, [], new Set(["a"])).map(({ due }) => due), [6, 5]);
  assert.deepEqual(crowd(rows, NINE, 1_000, 2, []).map(({ due }) => due), [3, 0]);
});

test("what is asked of the simulation is checked before it is sent", () => {
  const from = "2026-11-21T09:00:00Z";
  assert.deepEqual(question({ from, hours: "2", workers: " 8 ", agent: " a " }),
    { from: "2026-11-21T09:00:00.000Z", to: "2026-11-21T11:00:00.000Z", workers: 8, agent: "a" });
  assert.deepEqual(Object.keys(question({})), ["from", "to"]);
  assert.throws(() => question({ hours: "0" }), /hours is a number from 0.1 to 744/);
  assert.throws(() => question({ workers: "many" }), /workers is a number/);
  assert.throws(() => question({ from: "soon" }), /no time/);
});

test("who will have trouble is told first", () => {
  const agent = (name, more) => ({ agent: name, triggers: 1, failed: 0, timedOut: 0, skipped: 0, refused: 0, cancelled: 0, busyMs: 0, leftWaiting: 0, leftRunning: 0, ...more });
  const agents = [agent("quiet", { triggers: 0 }), agent("busy", { busyMs: 9 }), agent("bad", { skipped: 3 })];
  assert.deepEqual(forecasts({ agents }).map(({ agent, trouble }) => [agent, trouble]), [["bad", 3], ["busy", 0]]);
});
