import assert from "node:assert/strict";
import { test } from "node:test";

import { answered, headers, message, minute, rate, request, responders, troubles, typed } from "../../../crates/web/dashboard/js/views/bus.data.js";

test("the second that is not over is not shown", () => {
  const drawn = minute([1, 2, 3, 0], 100_500);
  assert.deepEqual([drawn.x, drawn.values], [[97, 98, 99], [1, 2, 3]]);
  assert.equal(rate([9, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 500]), 1);
  assert.deepEqual([minute([]).x, rate()], [[], 0]);
});

test("who fails most is on top", () => {
  const bus = { responders: [{ agent: "busy", requests: 100, errors: 1 }, { agent: "bad", requests: 4, errors: 2 }, { agent: "idle", requests: 0, errors: 0 }] };
  assert.deepEqual(responders(bus).map(({ agent }) => agent), ["bad", "busy", "idle"]);
  assert.deepEqual(responders(bus, " BU").map(({ agent }) => agent), ["busy"]);
});

test("only what went wrong is told", () => {
  assert.deepEqual(troubles({ requests: { timedOut: 2, unavailable: 0 }, slowConsumers: 1 }), [["not answered in time", 2], ["clients cut off, too slow", 1]]);
});

test("a word is an agent, words with dots are a subject", () => {
  assert.deepEqual(request({ to: " mail ", payload: "{\"a\":1}", timeout: "0.5" }), { agent: "mail", payload: { a: 1 }, timeoutMs: 500 });
  assert.deepEqual(request({ to: "rpc.mail.total", payload: "hello", timeout: "5" }), { subject: "rpc.mail.total", payload: "hello", timeoutMs: 5_000 });
  for (const [to, timeout, wrong] of [["", "5", /who is asked/], ["a b", "5", /no spaces/], ["rpc.>", "5", /wildcards/], ["a", "0", /between/], ["a", "x", /between/]]) {
    assert.throws(() => request({ to, payload: "", timeout }), wrong);
  }
});

test("a message may have headers, a line each", () => {
  assert.deepEqual(message({ to: "orders.new", payload: "", headers: "Color: red\n\nX: a: b" }), { subject: "orders.new", payload: null, headers: { Color: "red", X: "a: b" } });
  assert.throws(() => message({ to: "orders.new", payload: "", headers: "nothing" }), /is none/);
  assert.equal(typed("7"), 7);
  assert.equal(typed("{"), "{");
});

test("an answer is laid out if it is JSON, and told if it is nothing", () => {
  assert.equal(answered({ payload: "{\"a\":1}" }).text, "{\n  \"a\": 1\n}");
  assert.equal(answered({ payload: "plain" }).text, "plain");
  assert.match(answered({ payload: "" }).note, /empty/);
  assert.match(answered({ payloadBase64: "/w==" }).note, /no text/);
  assert.deepEqual(headers({ headers: { A: ["1", "2"], B: "3" } }), [["A", "1, 2"], ["B", "3"]]);
});
