import assert from "node:assert/strict";
import { test } from "node:test";

import {
  edited, facts, filter, inWords, many, pace, payload, possible, pretty, progress, progressInWords, sets, standing,
} from "../../../crates/web/dashboard/js/views/dead-letters.data.js";

const NOON = Date.parse("2026-11-21T12:00:00Z");

test("an empty filter says that all are meant", () => {
  assert.deepEqual(many({ agent: " ", text: "" }), { all: true });
  assert.deepEqual(many({ agent: "mail", since: "1h" }, { dryRun: true }, NOON),
    { filter: { agent: "mail", since: "2026-11-21T11:00:00.000Z" }, dryRun: true });
});

test("a filter is told in words that go with a count", () => {
  assert.equal(`Discard 12 dead letters ${inWords({ agent: "mail", state: "open,parked", since: "24h" })}?`,
    "Discard 12 dead letters of mail in state open or parked of the last 24h?");
  assert.equal(inWords({}), "");
  assert.deepEqual(filter({}), {});
});

test("a rate and a bound of failures are checked", () => {
  assert.deepEqual(pace({ rate: "0.5", stopAfter: "3" }), { rate: 0.5, stopAfter: 3 });
  for (const bad of [{ rate: "0", stopAfter: 1 }, { rate: "x", stopAfter: 1 }, { rate: 20_000, stopAfter: 1 }]) assert.throws(() => pace(bad), /rate/);
  assert.throws(() => pace({ rate: 1, stopAfter: "1.5" }), /whole number/);
});

test("where a letter stands is told in a word or two", () => {
  assert.equal(standing({ state: "open", replays: 2 }), "open, tried 2×");
  assert.equal(standing({ state: "replaying", replays: 2 }), "replaying");
  assert.equal(standing({ state: "waiting", replays: 0, waitsFor: "db" }), "waits for db");
  assert.equal(possible({ state: "replaying" }).discard, false);
  assert.equal(possible({ state: "parked" }).force, true);
});

test("a payload is edited as text, or as base64 if it is none", () => {
  assert.deepEqual(payload({ executionData: { payload: "{}" } }), { text: "{}", encoding: "text" });
  assert.deepEqual(payload({ executionData: { payloadBase64: "/w==" } }), { text: "/w==", encoding: "base64" });
  assert.equal(payload({ executionData: { payload: null } }), null);
  assert.deepEqual(edited("/w\n==", "base64"), { payloadBase64: "/w==" });
  assert.throws(() => edited("é", "base64"), /no base64/);
  assert.deepEqual(edited("é", "text"), { payload: "é" });
  assert.equal(pretty("{\"a\":1}"), "{\n  \"a\": 1\n}");
  assert.equal(pretty("{"), null);
  assert.equal(pretty("7"), null);
});

test("facts that are not known are left out", () => {
  const letter = { error: "e", signature: "s", runId: "r", restartCount: 2, state: "open", replays: 0, kills: 0, executionData: { trigger: { kind: "startup" }, exit: null, department: "d", schedule: null } };
  assert.deepEqual(facts(letter).map(([name]) => name), ["error", "signature", "execution", "failed attempts", "state", "asked for", "department"]);
});

test("how far a set is", () => {
  const set = { id: 1, total: 12, succeeded: 5, failed: 2, passedOver: 0, underWay: 1, left: 4, over: false };
  assert.equal(progressInWords(set), "7 of 12: 5 succeeded, 2 failed, 1 under way");
  assert.equal(progress({ ...set, total: 0 }), 1);
  const order = sets({ replays: [{ id: 1, over: true }, { id: 2, over: false }, { id: 3, over: true }] });
  assert.deepEqual(order.map(({ id }) => id), [2, 3, 1]);
});
