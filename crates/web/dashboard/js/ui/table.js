// A list of any length: only the rows in sight exist, each is rendered anew only if it changed. Below 700 px a row is a card.
import { Component, html, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../lib/html.js";
import { useKeys } from "../lib/keys.js";

const NARROW = 700;
// A column that needs a wider page than this is on no card either, unless it says how.
const SPARE = 800;
// Rows beyond the edges, so that a quick scroll shows no gap.
const MORE = 8;
const HEAD = 33;

// "p95": rising, "-p95": falling; what has no value comes last either way.
export function sortRows(rows, columns, sort) {
  const falling = sort?.startsWith("-");
  const column = columns.find((one) => one.id === sort?.replace("-", ""));
  if (!column?.value) return rows;
  const keyed = rows.map((row, at) => [column.value(row), at, row]);
  const none = (value) => value === null || value === undefined || value === "";
  keyed.sort(([a, i], [b, j]) => {
    if (none(a) || none(b)) return none(a) === none(b) ? i - j : none(a) ? 1 : -1;
    const order = typeof a === "string" && typeof b === "string" ? (a < b ? -1 : a > b ? 1 : 0) : a - b;
    return (falling ? -order : order) || i - j;
  });
  return keyed.map(([, , row]) => row);
}

// Which rows are in sight, and how wide the table is.
export function useSight(box, total, height) {
  const [sight, setSight] = useState({ from: 0, to: 40, width: 0 });
  useLayoutEffect(() => {
    let frame = 0;
    const look = () => {
      frame = 0;
      const element = box.current;
      if (!element) return;
      const { top, width } = element.getBoundingClientRect();
      const from = Math.max(0, Math.floor(-top / height) - MORE);
      const end = Math.ceil((innerHeight - top) / height) + MORE;
      const to = Math.min(total, end);
      setSight((before) => {
        const same = before.width === Math.round(width);
        // A few rows of slack: not every step of the wheel is a change.
        const inside = before.from <= Math.max(0, from + MORE / 2) && before.to >= Math.min(total, end - MORE / 2) && before.to - before.from < 400;
        return same && inside && before.to <= total ? before : { from, to, width: Math.round(width) };
      });
    };
    const soon = () => { frame ||= requestAnimationFrame(look); };
    look();
    addEventListener("scroll", soon, { passive: true });
    addEventListener("resize", soon);
    const observer = new ResizeObserver(soon);
    observer.observe(box.current);
    return () => {
      cancelAnimationFrame(frame);
      removeEventListener("scroll", soon);
      removeEventListener("resize", soon);
      observer.disconnect();
    };
  }, [total, height]);
  return sight;
}

const INTERACTIVE = "a,button,input,select,label,textarea,[role=menu]";

// Nothing to show is a table of its own kind: it has no rows whose place could be looked at.
export const Table = (props) => (props.rows.length === 0 && props.empty ? props.empty : html`<${Full} ...${props} />`);

function Full({
  label, columns, rows, rowKey = (row) => row.id, height = 36, cardHeight = 74, onOpen, href, selected, sort, onSort, rowClass, keys = true,
}) {
  const box = useRef(null);
  const [width, setWidth] = useState(() => innerWidth);
  const cards = width > 0 && width < NARROW;
  const rowHeight = cards ? cardHeight : height;
  const sight = useSight(box, rows.length, rowHeight);
  useLayoutEffect(() => { if (sight.width > 0 && sight.width !== width) setWidth(sight.width); }, [sight.width]);
  const [cursor, setCursor] = useState(null);
  const wantFocus = useRef(false);
  const lastPicked = useRef(null);

  const shown = useMemo(() => columns.filter((column) => (cards ? column.card ?? !(column.hide >= SPARE) : !column.hide || width >= column.hide)), [columns, cards, width]);
  const template = `${selected ? "34px " : ""}${shown.map((column) => column.width ?? "minmax(90px, 1fr)").join(" ")}`;

  // Keys come faster than the page is drawn anew: where the cursor is does not wait for that.
  const place = useRef(null);
  const goTo = useCallback((key) => {
    place.current = key;
    setCursor(key);
  }, []);
  const where = () => (place.current === null ? -1 : latest.current.findIndex((row) => rowKey(row) === place.current));
  const move = (to) => {
    if (rows.length === 0) return;
    const next = Math.min(rows.length - 1, Math.max(0, to));
    const { top } = box.current.getBoundingClientRect();
    const y = top + next * rowHeight;
    const head = cards ? 60 : HEAD + 50;
    if (y < head) scrollBy(0, y - head);
    else if (y + rowHeight > innerHeight - 8) scrollBy(0, y + rowHeight - innerHeight + 8);
    wantFocus.current = true;
    goTo(rowKey(rows[next]));
  };
  useEffect(() => {
    // A key that came since this was drawn has gone on: the next drawing has its row.
    if (!wantFocus.current || cursor !== place.current) return;
    const row = box.current?.querySelector("[data-cursor]");
    if (!row) return;
    wantFocus.current = false;
    row.focus({ preventScroll: true });
  });
  const open = useCallback((row) => { if (onOpen) onOpen(row); else if (href) location.hash = href(row); }, [onOpen, href]);
  const pick = useCallback((key, range) => {
    const next = new Set(selected.peek());
    const on = !next.has(key);
    const all = latest.current.map(rowKey);
    const [a, b] = [all.indexOf(lastPicked.current), all.indexOf(key)];
    const keysOf = range && a >= 0 ? all.slice(Math.min(a, b), Math.max(a, b) + 1) : [key];
    for (const one of keysOf) next[on ? "add" : "delete"](one);
    lastPicked.current = key;
    selected.value = next;
  }, [selected]);
  const latest = useRef(rows);
  latest.current = rows;

  useKeys(keys ? [
    ["j", "Next row", () => move(where() + 1)],
    ["k", "Row before", () => move(where() - 1)],
    ["enter", "Open the row", (event) => (where() >= 0 && !event.target.closest?.(INTERACTIVE) ? open(rows[where()]) : false)],
    ...(selected ? [
      ["x", "Select the row", () => (where() >= 0 ? pick(place.current, false) : false)],
      ["*", "Select all or none", () => toggleAll()],
    ] : []),
  ] : [], { group: label });

  const chosen = selected?.value;
  const all = Boolean(selected) && rows.length > 0 && rows.every((row) => chosen.has(rowKey(row)));
  const toggleAll = () => { selected.value = all ? new Set() : new Set(rows.map(rowKey)); };

  const from = Math.min(sight.from, Math.max(0, rows.length - 1));
  const to = Math.min(sight.to, rows.length);
  return html`<div class=${cards ? "table cards" : "table"} role="table" aria-label=${label} aria-rowcount=${rows.length + 1} style=${{ "--columns": template }}>
    <div role="rowgroup" class="table-head"><div role="row" aria-rowindex="1" class="table-row-head">
      ${selected ? html`<span role="columnheader" class="cell check"><input type="checkbox" aria-label=${all ? "Select none" : `Select all ${rows.length}`} checked=${all} onChange=${toggleAll} /></span>` : null}
      ${shown.map((column) => html`<${Head} key=${column.id} column=${column} sort=${sort} onSort=${onSort} />`)}
    </div></div>
    <div role="rowgroup" class="table-body" ref=${box} style=${{ height: `${rows.length * rowHeight}px` }}>
      ${rows.slice(from, to).map((row, index) => {
        const key = rowKey(row);
        return html`<${Row} key=${key} row=${row} id=${key} index=${from + index} height=${rowHeight} columns=${shown} open=${open} pick=${selected ? pick : null}
          chosen=${chosen?.has(key) ?? false} here=${key === cursor} first=${cursor === null && from + index === 0} focus=${goTo} class=${rowClass?.(row) ?? ""} opens=${Boolean(onOpen || href)} />`;
      })}
    </div></div>`;
}

function Head({ column, sort, onSort }) {
  const mine = sort?.replace("-", "") === column.id;
  const falling = mine && sort.startsWith("-");
  const sortable = onSort && column.value && column.sortable !== false;
  const click = () => onSort(mine ? (falling === Boolean(column.fallingFirst) ? `${falling ? "" : "-"}${column.id}` : "") : `${column.fallingFirst ? "-" : ""}${column.id}`);
  const text = html`${column.head ?? column.title}${mine ? html`<span aria-hidden="true" class="arrow">${falling ? "↓" : "↑"}</span>` : null}`;
  return html`<span role="columnheader" class="cell ${column.align ?? ""}" aria-sort=${mine ? (falling ? "descending" : "ascending") : sortable ? "none" : null} title=${column.about}>
    ${sortable ? html`<button type="button" class=${mine ? "sorted" : ""} onClick=${click}>${text}</button>` : column.hiddenTitle ? html`<span class="hidden-text">${column.title}</span>` : text}</span>`;
}

class Row extends Component {
  shouldComponentUpdate(next) {
    for (const key in next) if (next[key] !== this.props[key]) return true;
    return false;
  }

  render({ row, id, index, height, columns, open, pick, chosen, here, first, focus, class: name, opens }) {
    const click = (event) => {
      if (!opens || event.defaultPrevented || event.target.closest(INTERACTIVE)) return;
      const selection = document.getSelection();
      if (selection && !selection.isCollapsed) return;
      open(row);
    };
    return html`<div role="row" aria-rowindex=${index + 2} class=${`table-row ${name} ${opens ? "opens" : ""} ${chosen ? "chosen" : ""}`} style=${{ top: `${index * height}px`, height: `${height}px` }}
      tabindex=${here || first ? 0 : -1} data-cursor=${here ? "" : null} onClick=${click} onFocus=${(event) => { if (event.target === event.currentTarget) focus(id); }}>
      ${pick ? html`<span role="cell" class="cell check"><input type="checkbox" tabindex="-1" aria-label=${`Select ${id}`} checked=${chosen}
        onClick=${(event) => { event.stopPropagation(); pick(id, event.shiftKey); }} /></span>` : null}
      ${columns.map((column) => html`<span key=${column.id} role="cell" class=${`cell ${column.align ?? ""} ${column.card ? `card-${column.card}` : ""} ${column.class ?? ""} ${column.hiddenTitle ? "acts" : ""}`} data-name=${column.hiddenTitle ? null : column.title}>${column.cell(row)}</span>`)}
    </div>`;
  }
}
