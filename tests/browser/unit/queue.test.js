import assert from "node:assert/strict";
import { test } from "node:test";

import { asked, causes, exit, figures, priority, rows, sentence } from "../../../crates/web/dashboard/js/views/queue.data.js";

const queue = {
  workersBusy: 2, workers: 2, capacity: 10,
  waiting: [
    { run: "r1", agent: "report", trigger: { kind: "schedule" }, priority: 3, effective_priority: 2, waiting_ms: 1_500, position: 1, reason: { code: "waiting_for_worker", workers: 2 } },
    { run: "r2", agent: "mail", trigger: { kind: "manual", by: "ann", force: true }, priority: 1, effective_priority: null, waiting_ms: 90_000, position: null, reason: { code: "waiting_for_previous" } },
  ],
};

test("the line is told in numbers", () => {
  assert.deepEqual(figures(queue), { waiting: 2, inLine: 1, parked: 1, longest: 90_000 });
  assert.deepEqual(figures({ waiting: [] }), { waiting: 0, inLine: 0, parked: 0, longest: null });
});

test("a priority that grew by waiting shows both", () => {
  assert.deepEqual(queue.waiting.map(priority), ["3 → 2", "1"]);
});

test("why something waits is a sentence", () => {
  assert.equal(sentence({ code: "waiting_for_worker", workers: 2 }), "waits for a worker; all 2 are busy");
  assert.equal(sentence({ code: "backing_off", delay_ms: 90_000, cause: { code: "exited", exit: { kind: "code", value: 3 } } }),
    "tries again 1.5 min after the last attempt: exited with code 3");
  assert.equal(sentence({ code: "unhealthy_dependencies", dependencies: [{ dep: "db", reason: "error" }] }), "waits for db (error)");
  assert.equal(sentence({ code: "something_new" }), "something new");
  assert.equal(sentence({ code: "x", text: "as it says" }), "as it says");
  assert.equal(sentence(null), "");
});

test("who asked is told", () => {
  assert.equal(asked({ kind: "manual", by: "ann", force: true }), "by hand: ann, forced");
  assert.equal(asked({ kind: "replay", dead_letter: 4 }), "replay of dead letter 4");
  assert.equal(exit({ kind: "signal", value: 9 }), "was ended by signal 9");
});

test("rows are found by what they show, and by what holds them up", () => {
  assert.deepEqual(rows(queue, { text: "ANN" }).map(({ run }) => run), ["r2"]);
  assert.deepEqual(rows(queue, { why: "waiting_for_worker" }).map(({ run }) => run), ["r1"]);
  assert.deepEqual(causes(queue).map(({ code, count }) => [code, count]), [["waiting_for_previous", 1], ["waiting_for_worker", 1]]);
  assert.deepEqual(rows(undefined), []);
});
