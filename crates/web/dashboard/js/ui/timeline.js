// What was or will be when: a row each, items as bars, now as a line. Times are in ms.
import { html, useLayoutEffect, useRef, useState } from "../lib/html.js";
import { dateTime } from "../lib/format.js";

const STEPS = [1e3, 5e3, 15e3, 30e3, 6e4, 3e5, 9e5, 18e5, 36e5, 2 * 36e5, 3 * 36e5, 6 * 36e5, 12 * 36e5, 24 * 36e5, 48 * 36e5, 7 * 24 * 36e5];
// Between two times of the scale.
const APART = 84;
const ROW = 28;
const BAR = 16;
const LEAST = 3;

export function useWidth() {
  const ref = useRef(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const element = ref.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry.contentRect.width)));
    observer.observe(element);
    setWidth(Math.floor(element.getBoundingClientRect().width));
    return () => observer.disconnect();
  }, []);
  return [ref, width];
}

export function ticks(from, to, width) {
  const wanted = Math.max(1, Math.floor(width / APART));
  const step = STEPS.find((one) => (to - from) / one <= wanted) ?? STEPS[STEPS.length - 1];
  const zone = new Date(from).getTimezoneOffset() * 60_000;
  const first = Math.ceil((from - zone) / step) * step + zone;
  const out = [];
  for (let at = first; at <= to; at += step) out.push(at);
  return { step, at: out };
}

function name(time, step) {
  const text = dateTime(time);
  if (step < 6e4) return text.slice(11, 19);
  return text.slice(11, 16) === "00:00" ? text.slice(5, 10) : text.slice(11, 16);
}

export function Timeline({ label, from, to, rows, now, marks = [], names = true }) {
  const [box, width] = useWidth();
  const left = names && width > 560 ? Math.min(200, Math.round(width * 0.24)) : 0;
  const top = left > 0 || !names ? 0 : 14;
  const height = ROW + top;
  const inner = Math.max(1, width - left);
  const x = (time) => left + ((Math.min(to, Math.max(from, time)) - from) / Math.max(1, to - from)) * inner;
  const scale = ticks(from, to, inner);
  const total = 22 + rows.length * height;
  return html`<div class="timeline" ref=${box} role="group" aria-label=${label}>${width === 0 ? null : html`
    <svg width=${width} height=${total} viewBox=${`0 0 ${width} ${total}`}>
      ${scale.at.map((at) => html`<g key=${at}><line class="tick" x1=${x(at)} x2=${x(at)} y1="18" y2=${total} />
        ${x(at) < width - 34 ? html`<text class="tick-text" x=${x(at) + 3} y="13">${name(at, scale.step)}</text>` : null}</g>`)}
      ${rows.map((row, index) => html`<${Row} key=${row.key} row=${row} y=${22 + index * height} ...${{ x, left, top, names, from, to }} />`)}
      ${marks.map((mark) => html`<line class=${`timeline-mark tone-${mark.tone ?? "off"}`} x1=${x(mark.at)} x2=${x(mark.at)} y1="18" y2=${total}><title>${mark.title}</title></line>`)}
      ${now >= from && now <= to ? html`<line class="now" x1=${x(now)} x2=${x(now)} y1="16" y2=${total}><title>now</title></line>` : null}
    </svg>`}</div>`;
}

function Row({ row, y, x, left, top, names, from, to }) {
  const title = names ? html`<text class="row-name" x="0" y=${left > 0 ? y + 18 : y + 11}>${cut(row.title, left > 0 ? left / 7.4 : 48)}<title>${row.title}</title></text>` : null;
  return html`<g><line class="row-line" x1="0" x2="100%" y1=${y} y2=${y} />
    ${row.href ? html`<a href=${row.href}>${title}</a>` : title}
    ${row.items.filter((item) => item.to >= from && item.from <= to).map((item) => {
      const start = x(item.from);
      const bar = html`<rect class=${`bar-item tone-mark-${item.tone ?? "neutral"}`} x=${start} y=${y + top + (ROW - BAR) / 2} rx="2" height=${BAR} width=${Math.max(LEAST, x(item.to) - start)}><title>${item.title}</title></rect>`;
      if (item.href) return html`<a href=${item.href} aria-label=${item.title}>${bar}</a>`;
      if (item.onPick) {
        const key = (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); item.onPick(); } };
        return html`<g role="button" tabindex="0" aria-label=${item.title} onClick=${item.onPick} onKeyDown=${key}>${bar}</g>`;
      }
      return bar;
    })}</g>`;
}

const cut = (text, max) => (text.length > max ? `${text.slice(0, Math.max(1, Math.floor(max) - 1))}…` : text);
