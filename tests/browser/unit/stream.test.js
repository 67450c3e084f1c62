import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { factStream } from "../../../crates/web/dashboard/js/lib/stream.js";

class Source extends EventTarget {
  static OPEN = 1;
  static CLOSED = 2;
  static made = [];
  readyState = 0;
  constructor(url) {
    super();
    this.url = url;
    Source.made.push(this);
  }
  close() { this.readyState = Source.CLOSED; }
  begin() {
    this.readyState = Source.OPEN;
    this.dispatchEvent(new Event("open"));
  }
  tell(kind, id, data) { this.dispatchEvent(new MessageEvent(kind, { data: JSON.stringify(data), lastEventId: id })); }
  refuse() {
    this.readyState = Source.CLOSED;
    this.dispatchEvent(new Event("error"));
  }
}

let told;
let stream;
beforeEach(() => {
  globalThis.EventSource = Source;
  Source.made = [];
  told = [];
  const tell = (what) => (detail) => told.push(detail === undefined ? what : [what, detail]);
  stream = factStream({ opened: tell("opened"), fact: tell("fact"), resync: () => told.push("resync"), cut: () => told.push("cut"), refused: () => told.push("refused") });
});
const newest = () => Source.made.at(-1);

test("another stream goes on after the last event", () => {
  stream.open();
  newest().begin();
  newest().tell("fact", "7.100", { seq: 7 });
  stream.close();
  stream.open();
  assert.deepEqual(Source.made.map(({ url }) => url), ["/api/v1/events/stream", "/api/v1/events/stream?after=7.100"]);
  newest().begin();
  assert.deepEqual(told, [["opened", false], ["fact", { seq: 7 }], ["opened", false]]);
});

test("a stream that was cut before its first event may have lost some", () => {
  stream.open();
  newest().begin();
  stream.close();
  stream.open();
  newest().begin();
  assert.deepEqual(told, [["opened", false], ["opened", true]]);
});

test("a refused stream is asked for again, and goes on after the last event", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  stream.open();
  newest().begin();
  newest().tell("resync", "9.100", { oldest: 8, newest: 9 });
  newest().refuse();
  assert.deepEqual(told, [["opened", false], "resync", "cut", "refused"]);
  t.mock.timers.tick(2_000);
  assert.equal(newest().url, "/api/v1/events/stream?after=9.100");
  newest().refuse();
  t.mock.timers.tick(3_999);
  assert.equal(Source.made.length, 2);
  t.mock.timers.tick(1);
  assert.equal(Source.made.length, 3);
});

test("who logs in next begins anew", () => {
  stream.open();
  newest().tell("fact", "7.100", { seq: 7 });
  stream.forget();
  stream.open();
  newest().begin();
  assert.equal(newest().url, "/api/v1/events/stream");
  assert.deepEqual(told.at(-1), ["opened", false]);
});
