import assert from "node:assert/strict";
import { test } from "node:test";

import { added, MOST } from "../../../crates/web/dashboard/js/lib/notices.js";

let id = 0;
const notice = (text, more) => ({ id: (id += 1), text, detail: "", tone: "good", stays: false, about: undefined, ...more });
const fault = (text, more) => notice(text, { tone: "bad", stays: true, ...more });
const all = (...notices) => notices.reduce(added, []);
const told = (shown) => shown.map(({ text, times }) => [text, times]);

test("a newer notice about the same thing replaces the older, and is a new one", () => {
  const shown = all(notice("echo is queued as 1", { about: "run echo" }), notice("web is restarted", { about: "restart web" }), notice("echo is queued as 2", { about: "run echo" }));
  assert.deepEqual(told(shown), [["web is restarted", 1], ["echo is queued as 2", 2]]);
  assert.equal(shown[1].id, id);
});

test("another agent, and another kind of action, stand beside each other", () => {
  const shown = all(notice("a", { about: "run echo" }), notice("b", { about: "stop echo" }), notice("c", { about: "run slow" }));
  assert.deepEqual(told(shown), [["a", 1], ["b", 1], ["c", 1]]);
});

test("the same words are about the same thing", () => {
  assert.deepEqual(told(all(notice("copied"), notice("copied"), notice("copied"))), [["copied", 3]]);
});

test("a fault stays whatever comes after it, and is told once for the same words", () => {
  const shown = all(fault("echo does not run", { detail: "the queue is full", about: "run echo" }), fault("echo does not run", { detail: "web is unhealthy", about: "run echo" }),
    notice("echo is queued", { about: "run echo" }), fault("echo does not run", { detail: "web is unhealthy", about: "run echo" }));
  assert.deepEqual(shown.map(({ detail, times }) => [detail, times]), [["the queue is full", 1], ["", 1], ["web is unhealthy", 2]]);
});

test("what goes by itself makes room before a fault does", () => {
  const shown = all(fault("first"), ...Array.from({ length: MOST + 2 }, (_, at) => notice(`done ${at}`)));
  assert.equal(shown.length, MOST);
  assert.deepEqual(shown.map(({ text }) => text), ["first", "done 3", "done 4", "done 5", "done 6"]);
});
