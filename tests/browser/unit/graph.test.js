import assert from "node:assert/strict";
import { test } from "node:test";

import { around, bands, BOX, chosen, fit, layout, model, rows, zoom } from "../../../crates/web/dashboard/js/views/graph.data.js";

const node = (name, layer, more = {}) => ({ name, layer, department: "d", kind: "job", status: "idle", depth: layer, priority: 3, ...more });
const edge = (from, to) => ({ from, to, condition: "healthy" });

/** web → api → db, mail → db, alone; web also needs db, past api's column. */
const shop = () => model({
  nodes: [node("db", 0), node("api", 1), node("mail", 1, { status: "error", department: "post" }), node("web", 2), node("alone", 0)],
  edges: [edge("api", "db"), edge("web", "api"), edge("mail", "db"), edge("web", "db"), edge("web", "gone")],
  criticalPath: ["db", "api"],
});

test("a line to an agent that is not there is left out", () => {
  const { edges, nodes } = shop();
  assert.equal(edges.length, 4);
  assert.deepEqual(nodes.get("db").neededBy.map(({ name }) => name), ["api", "mail", "web"]);
});

test("around an agent is what it needs and what needs it, not what else those need", () => {
  assert.deepEqual([...around(shop(), "api")].sort(), ["api", "db", "web"]);
  assert.deepEqual([...around(shop(), "db", 1)].sort(), ["api", "db", "mail", "web"]);
  assert.deepEqual([...around(shop(), "nobody")], []);
});

test("a circle does not hang", () => {
  const circle = model({ nodes: [node("a", 0), node("b", 1)], edges: [edge("a", "b"), edge("b", "a")] });
  assert.deepEqual([...around(circle, "a")].sort(), ["a", "b"]);
});

test("the filter takes names, departments and states", () => {
  assert.deepEqual(chosen(shop(), { text: "MAI" }), ["mail"]);
  assert.deepEqual(chosen(shop(), { department: "post" }), ["mail"]);
  assert.deepEqual(chosen(shop(), { status: "error" }), ["mail"]);
  assert.equal(chosen(shop()).length, 5);
});

test("the list has a row per agent, layer by layer, with its place on the critical path", () => {
  const list = rows(shop(), chosen(shop()));
  assert.deepEqual(list.map(({ name, onCriticalPath }) => [name, onCriticalPath]),
    [["alone", null], ["db", 1], ["api", 2], ["mail", null], ["web", null]]);
  assert.deepEqual(bands(shop(), chosen(shop())).map(({ layer, nodes }) => [layer, nodes.length]), [[0, 2], [1, 2], [2, 1]]);
});

test("boxes stand in the column of their layer and never on each other", () => {
  const drawing = layout(shop(), chosen(shop()));
  const at = new Map(drawing.boxes.map((box) => [box.node.name, box]));
  assert.equal(at.size, 5);
  assert.ok(at.get("db").x < at.get("api").x && at.get("api").x < at.get("web").x);
  assert.equal(at.get("api").x, at.get("mail").x);
  assert.ok(at.get("alone").y > at.get("web").y, "what has no lines is below");
  assertApart(drawing.boxes);
});

test("every line has a path, and there are as many as edges", () => {
  const drawing = layout(shop(), chosen(shop()));
  assert.equal(drawing.lines.length, 4);
  for (const line of drawing.lines) assert.match(line.path, /^M[\d.-]+ [\d.-]+( [CH][\d. -]+)+$/);
});

test("a thousand agents are laid out quickly and without overlap", () => {
  const nodes = Array.from({ length: 1_000 }, (_, at) => node(`agent-${at}`, Math.floor(at / 100)));
  const edges = nodes.slice(100).flatMap((to, at) => [edge(to.name, `agent-${at}`), edge(to.name, `agent-${(at * 7) % (Math.floor(at / 100) * 100 + 100)}`)]);
  const big = model({ nodes, edges });
  const begun = performance.now();
  const drawing = layout(big, chosen(big));
  const took = performance.now() - begun;
  assert.equal(drawing.boxes.length, 1_000);
  assertApart(drawing.boxes);
  assert.ok(took < 3_000, `it took ${took} ms`);
});

test("zooming keeps the point under the pointer", () => {
  const view = { x: 0, y: 0, width: 1_000, height: 500 };
  const near = zoom(view, 2, { x: 250, y: 100 });
  assert.deepEqual(near, { x: 125, y: 50, width: 500, height: 250 });
  assert.equal(zoom(view, 1e9).width, 120);
});

test("a small drawing is not blown up, a large one is seen whole", () => {
  const shape = { width: 1_000, height: 500 };
  assert.equal(fit({ width: 10, height: 10 }, shape).width, 1_000);
  const far = fit({ width: 10_000, height: 100 }, shape);
  assert.ok(far.width >= 10_000 && far.x <= 0);
  assert.equal(fit({ width: 10_000, height: 100 }, shape, 1.4).width, 1_400, "names stay readable");
});

function assertApart(boxes) {
  const columns = Map.groupBy ? Map.groupBy(boxes, (box) => box.x) : group(boxes);
  for (const column of columns.values()) {
    column.sort((a, b) => a.y - b.y);
    for (let at = 1; at < column.length; at += 1) {
      assert.ok(column[at].y - column[at - 1].y >= BOX.height, `${column[at].node.name} is on ${column[at - 1].node.name}`);
    }
  }
}

function group(boxes) {
  const columns = new Map();
  for (const box of boxes) columns.set(box.x, [...(columns.get(box.x) ?? []), box]);
  return columns;
}
