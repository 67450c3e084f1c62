import assert from "node:assert/strict";
import { test } from "node:test";

import { extended, opened, outdated, renewed } from "../../../crates/web/dashboard/js/lib/pages.js";

const keyOf = (row) => row.id;
const page = (from, to, next) => ({ rows: Array.from({ length: from - to + 1 }, (_, at) => ({ id: from - at })), next });
const ids = ({ rows }) => rows.map(keyOf);

test("an older page comes below, and leads to the next", () => {
  const list = extended(opened(page(9, 7, "7")), page(6, 4, "4"), keyOf, "7");
  assert.deepEqual(ids(list), [9, 8, 7, 6, 5, 4]);
  assert.equal(list.next, "4");
  const last = extended(list, page(3, 3), keyOf, "4");
  assert.deepEqual([last.next, last.further], [null, true]);
});

test("what is new on top pushes nothing out of sight once older ones were asked for", () => {
  const list = extended(opened(page(9, 7, "7")), page(6, 4, "4"), keyOf, "7");
  const fresh = renewed(list, page(11, 9, "9"), keyOf);
  assert.deepEqual(ids(fresh), [11, 10, 9, 8, 7, 6, 5, 4]);
  assert.equal(fresh.next, "4");
});

test("without older pages the first page is all that is shown", () => {
  assert.deepEqual(ids(renewed(opened(page(9, 7, "7")), page(11, 9, "9"), keyOf)), [11, 10, 9]);
});

test("what was taken away on the first page is gone", () => {
  const list = extended(opened(page(9, 7, "7")), page(6, 4, "4"), keyOf, "7");
  assert.deepEqual(ids(renewed(list, { rows: [{ id: 9 }, { id: 7 }, { id: 6 }], next: "6" }, keyOf)), [9, 7, 6, 5, 4]);
  assert.deepEqual(ids(renewed(list, { rows: [{ id: 9 }], next: null }, keyOf)), [9]);
});

test("a list with a hole is none: where too much is new it begins anew", () => {
  const list = extended(opened(page(9, 7, "7")), page(6, 4, "4"), keyOf, "7");
  const fresh = renewed(list, page(30, 28, "28"), keyOf);
  assert.deepEqual([ids(fresh), fresh.next, fresh.further], [[30, 29, 28], "28", false]);
  assert.equal(extended(fresh, page(3, 1, "1"), keyOf, "4"), fresh);
});

test("another filter keeps what is shown until its page is there, and nothing of it after", () => {
  const list = outdated(extended(opened(page(9, 7, "7")), page(6, 4, "4"), keyOf, "7"));
  assert.deepEqual([ids(list).length, list.next], [6, null]);
  assert.deepEqual(ids(renewed(list, page(9, 8, "8"), keyOf)), [9, 8]);
});

test("a row that two pages tell of is shown once", () => {
  assert.deepEqual(ids(extended(opened(page(9, 7, "7")), page(7, 5, "5"), keyOf, "7")), [9, 8, 7, 6, 5]);
});
