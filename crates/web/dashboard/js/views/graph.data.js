// What the graph view shows, worked out from the answer of the API: who is near whom, and where everything is drawn.
// Left starts before right: a column is a boot layer.

export const BOX = { width: 168, height: 40, gapX: 72, gapY: 12 };

/** Above so many agents a drawing with lines tells nothing any more; a map of cells does. */
export const DRAWN_AT_MOST = 150;

const SWEEPS = 6;

/** The graph with its lines in both directions. */
export function model(graph) {
  const nodes = new Map();
  for (const node of graph.nodes ?? []) nodes.set(node.name, { ...node, needs: [], neededBy: [] });
  const edges = (graph.edges ?? []).filter((edge) => nodes.has(edge.from) && nodes.has(edge.to));
  for (const { from, to, condition } of edges) {
    nodes.get(from).needs.push({ name: to, condition });
    nodes.get(to).neededBy.push({ name: from, condition });
  }
  return { nodes, edges, criticalPath: graph.criticalPath ?? [] };
}

/** Names of all that can be reached from `name` by `next`, with their distance; `name` itself has 0. */
export function reach(nodes, name, next, most = Infinity) {
  const found = new Map();
  if (!nodes.has(name)) return found;
  let row = [name];
  found.set(name, 0);
  for (let distance = 1; row.length > 0 && distance <= most; distance += 1) {
    const following = [];
    for (const at of row) {
      for (const { name: neighbour } of next(nodes.get(at))) {
        if (found.has(neighbour)) continue;
        found.set(neighbour, distance);
        following.push(neighbour);
      }
    }
    row = following;
  }
  return found;
}

/** What `name` depends on and what depends on it, within so many steps. */
export function around({ nodes }, name, most = Infinity) {
  const below = reach(nodes, name, (node) => node.needs, most);
  const above = reach(nodes, name, (node) => node.neededBy, most);
  return new Set([...below.keys(), ...above.keys()]);
}

/** Names that fit the filter, in the order of the graph. */
export function chosen({ nodes }, { text = "", department = "", status = "" } = {}) {
  const wanted = text.trim().toLowerCase();
  const fits = (node) =>
    (!wanted || node.name.toLowerCase().includes(wanted) || String(node.department).toLowerCase().includes(wanted)) &&
    (!department || node.department === department) &&
    (!status || node.status === status);
  return [...nodes.values()].filter(fits).map((node) => node.name);
}

/** Rows of the list: one per agent, first layer first. */
export function rows({ nodes, criticalPath }, names) {
  const place = new Map(criticalPath.map((name, at) => [name, at + 1]));
  const all = names.map((name) => nodes.get(name)).filter(Boolean);
  all.sort((a, b) => a.layer - b.layer || (a.name < b.name ? -1 : 1));
  return all.map((node) => ({ ...node, onCriticalPath: place.get(node.name) ?? null }));
}

/** Agents by layer, for the map of a large fleet; within a layer by department. */
export function bands(model, names) {
  const layers = new Map();
  for (const node of rows(model, names)) {
    if (!layers.has(node.layer)) layers.set(node.layer, []);
    layers.get(node.layer).push(node);
  }
  for (const nodes of layers.values()) {
    nodes.sort((a, b) => order(a.department, b.department) || order(a.name, b.name));
  }
  return [...layers.entries()].sort(([a], [b]) => a - b).map(([layer, nodes]) => ({ layer, nodes }));
}

const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

/**
 * Where each box and line is. Boxes keep the column of their layer; within it they are sorted and moved so that lines
 * are short and cross seldom. What has no line is set apart, below.
 */
export function layout(model, names) {
  const wanted = new Set(names);
  const edges = model.edges.filter((edge) => wanted.has(edge.from) && wanted.has(edge.to));
  const linked = new Set(edges.flatMap((edge) => [edge.from, edge.to]));
  const all = names.map((name) => model.nodes.get(name)).filter(Boolean);
  const drawn = all.filter((node) => linked.has(node.name));
  const layers = [...new Set(drawn.map((node) => node.layer))].sort((a, b) => a - b);
  const columns = layers.map(() => []);
  const column = new Map(layers.map((layer, at) => [layer, at]));
  const items = new Map();
  const put = (item) => {
    items.set(item.key, item);
    columns[item.column].push(item);
    return item;
  };
  const sorted = [...drawn].sort((a, b) => order(a.department, b.department) || order(a.name, b.name));
  for (const node of sorted) {
    put({ key: node.name, node, column: column.get(node.layer), left: [], right: [], height: BOX.height });
  }
  const lines = edges.map((edge) => thread(edge, items, put));
  arrange(columns);
  place(columns);
  const pitch = BOX.width + BOX.gapX;
  const top = Math.min(0, ...[...items.values()].map((item) => item.y));
  for (const item of items.values()) item.y -= top;
  const height = Math.max(0, ...[...items.values()].map((item) => item.y + item.height));
  const boxes = [...items.values()].filter((item) => item.node);
  const alone = all.filter((node) => !linked.has(node.name));
  const apart = grid(alone, Math.max(layers.length, 4, Math.ceil(Math.sqrt(alone.length) * 0.6)), height, drawn.length > 0);
  return {
    boxes: [...boxes.map((item) => ({ node: item.node, x: item.column * pitch, y: item.y })), ...apart.boxes],
    lines: lines.map((line) => ({ ...line, path: path(line.through.map((key) => items.get(key)), pitch) })),
    columns: layers.map((layer, at) => ({ layer, x: at * pitch })),
    apart: apart.top,
    width: Math.max(layers.length * pitch - BOX.gapX, apart.width, BOX.width),
    height: Math.max(apart.bottom, BOX.height),
  };
}

/** A line goes from column to column; where it passes one, it has a place there like a thin box. */
function thread(edge, items, put) {
  const [first, last] = [items.get(edge.to), items.get(edge.from)];
  const through = [first.key];
  let before = first;
  for (let at = first.column + 1; at < last.column; at += 1) {
    const bend = put({ key: `${edge.to}\n${edge.from}\n${at}`, column: at, left: [], right: [], height: 4 });
    link(before, bend);
    through.push(bend.key);
    before = bend;
  }
  link(before, last);
  through.push(last.key);
  return { from: edge.from, to: edge.to, condition: edge.condition, through };
}

function link(left, right) {
  left.right.push(right);
  right.left.push(left);
}

/** Sorts the columns so that neighbours are at about the same height (Sugiyama's barycentres). */
function arrange(columns) {
  const number = (items) => items.forEach((item, at) => { item.at = at; });
  columns.forEach(number);
  const sweep = (side) => (items) => {
    for (const item of items) item.wish = item[side].length > 0 ? mean(item[side].map((near) => near.at)) : item.at;
    items.sort((a, b) => a.wish - b.wish || a.at - b.at);
    number(items);
  };
  for (let turn = 0; turn < SWEEPS; turn += 1) {
    columns.slice(1).forEach(sweep("left"));
    columns.slice(0, -1).reverse().forEach(sweep("right"));
  }
}

/** Heights: each item goes to the middle of its neighbours as far as those above and below let it. */
function place(columns) {
  for (const items of columns) {
    let y = 0;
    for (const item of items) {
      item.y = y;
      y += item.height + BOX.gapY;
    }
  }
  const settle = (sides) => (items) => {
    const middle = (item) => item.y + item.height / 2;
    for (const item of items) {
      const near = sides.flatMap((side) => item[side]);
      item.wish = near.length > 0 ? mean(near.map(middle)) - item.height / 2 : item.y;
    }
    spread(items);
  };
  for (let turn = 0; turn < SWEEPS; turn += 1) {
    columns.slice(1).forEach(settle(["left"]));
    columns.slice(0, -1).reverse().forEach(settle(["right"]));
  }
}

/** As near to their wishes as can be without touching: runs of items that push each other share what they can't have. */
function spread(items) {
  const runs = [];
  for (const item of items) {
    let run = { items: [item], size: item.height, wish: item.wish };
    for (let before = runs.at(-1); before && top(before) + before.size + BOX.gapY > top(run); before = runs.at(-1)) {
      runs.pop();
      const shift = before.size + BOX.gapY;
      const [a, b] = [before.items.length, run.items.length];
      run = {
        items: [...before.items, ...run.items],
        size: shift + run.size,
        wish: (before.wish * a + (run.wish - shift) * b) / (a + b),
      };
    }
    runs.push(run);
  }
  for (const run of runs) {
    let y = top(run);
    for (const item of run.items) {
      item.y = y;
      y += item.height + BOX.gapY;
    }
  }
}

const top = (run) => run.wish;
const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

/** Boxes without lines, in rows below the rest. */
function grid(nodes, perRow, below, something) {
  if (nodes.length === 0) return { boxes: [], top: null, width: 0, bottom: below };
  const [stepX, stepY] = [BOX.width + BOX.gapY, BOX.height + BOX.gapY];
  const top = something ? below + 56 : 0;
  const boxes = nodes.map((node, at) => ({ node, x: (at % perRow) * stepX, y: top + Math.floor(at / perRow) * stepY }));
  const wide = Math.min(nodes.length, perRow);
  return { boxes, top, width: wide * stepX - BOX.gapY, bottom: boxes.at(-1).y + BOX.height };
}

/** A smooth line through the middles of these items, as SVG has it. */
function path(items, pitch) {
  const round = (number) => Math.round(number * 10) / 10;
  const middle = (item) => round(item.y + item.height / 2);
  const right = (item) => item.column * pitch + BOX.width;
  const left = (item) => item.column * pitch;
  let text = `M${right(items[0])} ${middle(items[0])}`;
  for (let at = 1; at < items.length; at += 1) {
    const [a, b] = [items[at - 1], items[at]];
    const half = (right(a) + left(b)) / 2;
    text += ` C${half} ${middle(a)} ${half} ${middle(b)} ${left(b)} ${middle(b)}`;
    if (!b.node) text += ` H${right(b)}`;
  }
  return text;
}

/** The part of the drawing that is seen: zoomed by `factor` around a point of it. */
export function zoom(view, factor, at = { x: view.x + view.width / 2, y: view.y + view.height / 2 }, limits = [120, 40000]) {
  const width = Math.min(Math.max(view.width / factor, limits[0]), limits[1]);
  const scale = width / view.width;
  return { x: at.x - (at.x - view.x) * scale, y: at.y - (at.y - view.y) * scale, width, height: view.height * scale };
}

/**
 * All of the drawing with a margin, in a window of this shape; small drawings are not blown up. `most`: not smaller than
 * that, so that names can be read; then the beginning of it is seen.
 */
export function fit(drawing, shape, most = Infinity, margin = 24) {
  const whole = Math.max((drawing.width + 2 * margin) / shape.width, (drawing.height + 2 * margin) / shape.height, 1);
  const scale = Math.min(whole, most);
  return { x: -margin, y: -margin, width: shape.width * scale, height: shape.height * scale };
}
