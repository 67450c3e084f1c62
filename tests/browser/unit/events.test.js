import assert from "node:assert/strict";
import { test } from "node:test";

import { fits, leadsTo, merge, pastQuery, query, tone } from "../../../crates/web/dashboard/js/views/events.data.js";

const fact = (seq, type = "agent.failed", data = { agent: "mail" }) => ({ seq, type, time: "2026-11-21T09:00:00Z", message: `fact ${seq}`, data });

test("a family means all its topics", () => {
  assert.deepEqual(query({ type: "agent, dlq.added", agent: "a,b", run: " " }), { type: "agent.>,dlq.added", agent: "a,b" });
  assert.ok(fits(fact(1, "agent.dependencies.unhealthy"), { type: "dlq,agent" }));
  assert.ok(!fits(fact(1, "agent.dependencies.unhealthy"), { type: "agent.*" }));
});

test("what comes is held against the same filter", () => {
  assert.ok(fits(fact(1), { type: "agent", agent: "mail", text: "FACT" }));
  assert.ok(!fits(fact(1), { agent: "sales" }));
  assert.ok(!fits(fact(1), { run: "r" }));
  assert.ok(!fits(fact(1), { text: "other" }));
});

test("a fact that is told twice is there once, newest first, and no more than fit", () => {
  const list = merge([fact(3), fact(2)], [fact(4), fact(3)], 2);
  assert.deepEqual(list.map(({ seq }) => seq), [4, 3]);
});

test("what went wrong stands out", () => {
  const tones = ["execution.failed", "agent.disabled", "execution.succeeded", "execution.queued", "store.degraded", "config.rejected"];
  assert.deepEqual(tones.map(tone), ["bad", "warn", "good", "off", "bad", "bad"]);
});

test("a fact leads to what it is about", () => {
  assert.deepEqual(leadsTo(fact(1)), ["agents", "mail"]);
  assert.deepEqual(leadsTo(fact(1, "dlq.added", { id: 7, agent: "mail" })), ["dead-letters", "7"]);
  assert.deepEqual(leadsTo(fact(1, "execution.failed", { run: "r", agent: "mail" }))[0], "events");
  assert.equal(leadsTo(fact(1, "shutdown.started", {})), null);
});

test("the past is asked for as the API takes it", () => {
  assert.deepEqual(pastQuery({ agent: " a ", since: "1h", state: "failed,lost" }, Date.parse("2026-11-21T09:00:00Z")),
    { agent: "a", since: "2026-11-21T08:00:00.000Z", state: "failed,lost" });
});
