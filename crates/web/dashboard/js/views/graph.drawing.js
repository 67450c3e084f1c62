// The drawing: boxes in the columns of their layers, lines between them; moved and zoomed by pointer and by keys.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../lib/html.js";
import { words } from "../lib/format.js";
import { visible } from "../lib/text.js";
import { Button } from "../ui/button.js";
import { statusTone } from "../ui/status.js";
import { BOX, fit, layout, zoom } from "./graph.data.js";

const STEP = 0.15;
const ZOOM = 1.25;
/** At first nothing is drawn smaller than so many times: names are 13 px high. */
const READABLE = 1.4;
/** Moved by less than this, a press is a click. */
const CLICK = 4;
/** What a box says beside its colour; one sign per kind of state. */
const SIGNS = {
  running: "●", idle: "○", queued: "◔", starting: "◔", stopping: "◕", backing_off: "↻", unhealthy: "!", error: "✕", timeout: "✕", missing: "?",
  disabled_by_failure: "⊘", disabled_by_memory: "⊘", disabled: "⊘", stopped: "■",
};

export default function Drawing({ model, names, focus, onPick }) {
  const key = names.join(" ");
  // Places depend on who is shown and on the lines, not on how they are: a change of a status must not move a box.
  const drawing = useMemo(() => layout(model, names), [model.edges, key]);
  const [box, shape] = useShape();
  const [view, setView] = useState(null);
  const now = view ?? fit(drawing, shape, READABLE);
  useEffect(() => setView(null), [key, model.edges]);
  const held = useRef(null);
  const move = (x, y) => setView({ ...now, x: now.x + x * now.width, y: now.y + y * now.height });
  const nearer = (factor, at) => setView(zoom(now, factor, at));
  const whole = () => setView(fit(drawing, shape));
  const point = (event) => {
    const area = box.current.getBoundingClientRect();
    return { x: now.x + ((event.clientX - area.left) / area.width) * now.width, y: now.y + ((event.clientY - area.top) / area.height) * now.height };
  };

  const keys = (event) => {
    const does = {
      ArrowLeft: () => move(-STEP, 0), ArrowRight: () => move(STEP, 0), ArrowUp: () => move(0, -STEP), ArrowDown: () => move(0, STEP),
      "+": () => nearer(ZOOM), "=": () => nearer(ZOOM), "-": () => nearer(1 / ZOOM), 0: whole,
    }[event.key];
    if (!does || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    does();
  };
  const down = (event) => {
    if (event.button !== 0) return;
    held.current = { x: event.clientX, y: event.clientY, view: now, moved: false };
  };
  const drag = (event) => {
    const from = held.current;
    if (!from) return;
    const [x, y] = [event.clientX - from.x, event.clientY - from.y];
    if (!from.moved && Math.hypot(x, y) < CLICK) return;
    if (!from.moved) event.currentTarget.setPointerCapture(event.pointerId);
    from.moved = true;
    const area = box.current.getBoundingClientRect();
    setView({ ...from.view, x: from.view.x - (x / area.width) * from.view.width, y: from.view.y - (y / area.height) * from.view.height });
  };
  const up = () => {
    // The click that follows a drag is none.
    const moved = held.current?.moved;
    held.current = moved ? { over: true } : null;
    if (moved) setTimeout(() => { held.current = null; });
  };
  // Passive listeners can't keep the page from scrolling, so this one is put on by hand; without a key the wheel scrolls the page.
  const latest = useRef(null);
  latest.current = (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    nearer(event.deltaY < 0 ? 1.1 : 1 / 1.1, point(event));
  };
  useEffect(() => {
    const wheel = (event) => latest.current(event);
    box.current.addEventListener("wheel", wheel, { passive: false });
    return () => box.current?.removeEventListener("wheel", wheel);
  }, []);

  const near = useMemo(() => lit(model, focus), [model.edges, focus]);
  const path = new Map(model.criticalPath.map((name, at) => [name, at]));
  const onPath = (line) => path.has(line.from) && path.has(line.to) && path.get(line.from) - path.get(line.to) === 1;
  const pick = (name) => { if (!held.current?.over) onPick(name); };

  return html`<figure class="drawing card" aria-label="Dependency graph">
    <div class="drawing-box" style=${{ height: `max(220px, min(64vh, ${Math.ceil(drawing.height) + 72}px))` }} tabindex="0" role="group" ref=${box} onKeyDown=${keys}
      aria-label="Drawing of the dependencies. Arrow keys move it, plus and minus zoom, 0 shows all of it. Tab goes through the agents; the same is there as a list.">
      <svg viewBox=${`${now.x} ${now.y} ${now.width} ${now.height}`} onPointerDown=${down} onPointerMove=${drag} onPointerUp=${up} onPointerCancel=${up}>
        ${drawing.columns.map((column) => html`<text key=${column.layer} class="layer" x=${column.x} y="-10">layer ${column.layer}</text>`)}
        ${drawing.apart !== null && html`<text class="layer" x="0" y=${drawing.apart - 12}>nobody needs them, and they need nobody</text>`}
        <g class="lines">${drawing.lines.map((line) => html`<path key=${`${line.from} ${line.to}`} d=${line.path}
          class=${`${onPath(line) ? "critical " : ""}${line.condition !== "healthy" ? "condition " : ""}${near && !(near.has(line.from) && near.has(line.to)) ? "far" : ""}`}><title>${`${line.from} needs ${line.to}${line.condition === "healthy" ? "" : ` (${words(line.condition)})`}`}</title></path>`)}</g>
        ${drawing.boxes.map(({ node, x, y }) => html`<${Box} key=${node.name} node=${model.nodes.get(node.name) ?? node} x=${x} y=${y} focus=${node.name === focus}
          far=${near !== null && !near.has(node.name)} path=${path.has(node.name) ? path.get(node.name) + 1 : null} onPick=${pick}/>`)}
      </svg>
    </div>
    <figcaption class="row">
      <${Button} kind="quiet" label="Zoom in" title="Zoom in (+)" onClick=${() => nearer(ZOOM)}>+</>
      <${Button} kind="quiet" label="Zoom out" title="Zoom out (-)" onClick=${() => nearer(1 / ZOOM)}>−</>
      <${Button} kind="quiet" title="Show all of it (0)" onClick=${whole}>Fit</>
      <span class="grow"></span>
      <span class="legend quiet"><span><i class="line"></i> needs it healthy</span><span><i class="line condition"></i> needs it started or succeeded</span><span><i class="line critical"></i> the boot waited here</span></span>
    </figcaption>
  </figure>`;
}

function Box({ node, x, y, focus, far, path, onPick }) {
  const name = visible(node.name);
  const short = name.length > 19 ? `${name.slice(0, 18)}…` : name;
  const press = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    onPick(node.name);
  };
  // The box is what is pressed; its words are beside it, so that its name is a sentence and not all of them run together.
  return html`<g class=${`box tone-${statusTone(node.status)}${focus ? " focus" : ""}${far ? " far" : ""}${path ? " critical" : ""}`} transform=${`translate(${x} ${y})`}>
    <rect class="body" width=${BOX.width} height=${BOX.height} rx="6" role="button" tabindex="0" onClick=${() => onPick(node.name)} onKeyDown=${press}
      aria-label=${`${name}, ${words(node.status)}, layer ${node.layer}, needs ${node.needs.length}, needed by ${node.neededBy.length}`}><title>${`${name}: ${words(node.status)}`}</title></rect>
    <g class="words" aria-hidden="true">
      <rect class="edge" width="4" height=${BOX.height} rx="2"/>
      <text class="name" x="14" y="17">${short}</text>
      <text class="state" x="14" y="32"><tspan class="sign">${SIGNS[node.status] ?? "·"}</tspan> ${words(node.status)}</text>
      ${path && html`<text class="step" x=${BOX.width - 10} y="17" text-anchor="end">${path}.</text>`}
      <text class="kind" x=${BOX.width - 10} y="32" text-anchor="end">${node.kind}</text>
    </g>
  </g>`;
}

/** Who is lit when one is chosen: it, what it needs and what needs it, all the way; null: everybody. */
function lit(model, focus) {
  if (!focus) return null;
  const found = new Set([focus]);
  for (const side of ["needs", "neededBy"]) {
    const row = [focus];
    for (let name = row.pop(); name !== undefined; name = row.pop()) {
      for (const { name: next } of model.nodes.get(name)?.[side] ?? []) {
        if (found.has(`${side} ${next}`)) continue;
        found.add(`${side} ${next}`).add(next);
        row.push(next);
      }
    }
  }
  return found;
}

function useShape() {
  const box = useRef(null);
  const [shape, setShape] = useState({ width: 1_000, height: 560 });
  useLayoutEffect(() => {
    const look = () => {
      const { width, height } = box.current.getBoundingClientRect();
      if (width > 0 && height > 0) setShape((before) => (before.width === width && before.height === height ? before : { width, height }));
    };
    look();
    const observer = new ResizeObserver(look);
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  return [box, shape];
}
