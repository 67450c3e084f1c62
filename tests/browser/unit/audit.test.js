import assert from "node:assert/strict";
import { test } from "node:test";

import { changes, outcome, query, summary } from "../../../crates/web/dashboard/js/views/audit.data.js";

test("only what changed is shown", () => {
  const before = { status: "idle", triggers: { paused: false }, tags: ["a"] };
  const after = { status: "idle", triggers: { paused: true }, tags: ["a", "b"] };
  assert.deepEqual(changes(before, after), [
    { key: "triggers.paused", before: "false", after: "true" },
    { key: "tags", before: "a", after: "a, b" },
  ]);
  assert.equal(summary({ before, after }), "triggers.paused: false → true and 1 more");
  assert.equal(summary({ before: null, after: { name: "x" } }), "name: none → x");
  assert.equal(summary({ before: null, after: { createdAt: "t", id: "a", role: "viewer" } }), "role: none → viewer and 2 more");
  assert.equal(summary({ before: null, after: null }), "");
});

test("how it came out", () => {
  assert.deepEqual([200, 403, 409, 500].map((status) => outcome(status).word), ["done", "denied", "refused", "failed"]);
  assert.deepEqual(query({ who: " ann ", since: "24h" }, Date.parse("2026-11-21T09:00:00Z")), { who: "ann", since: "2026-11-20T09:00:00.000Z" });
});
