// Lines, areas and bars over time, by uPlot, which is loaded with the first chart. Colours are the tokens of the theme.
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { clock, count, dateTime } from "../lib/format.js";
import { resolvedTheme } from "../lib/prefs.js";
import { useWidth } from "./timeline.js";

// It is published small only as a classic script, so it is loaded as one: half the bytes of its module.
let plot = null;
function library() {
  plot ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL("../../vendor/uplot.js", import.meta.url).href;
    script.onload = () => resolve(window.uPlot);
    script.onerror = () => {
      plot = null;
      reject(new Error("the library for charts could not be loaded"));
    };
    document.head.append(script);
  });
  return plot;
}

// The colour of a token as the canvas takes it.
function ink(token, alpha = 1) {
  const probe = document.createElement("i");
  probe.hidden = true;
  probe.style.color = `var(--${token})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  const numbers = found.match(/[\d.]+/g);
  return found.startsWith("rgb") && numbers ? `rgba(${numbers.slice(0, 3).join(",")},${alpha})` : found;
}

const TOKENS = { good: "good-mark", busy: "busy-mark", warn: "warn-mark", bad: "bad-mark", off: "off-mark", accent: "accent", quiet: "quiet", ink: "ink" };
const token = (tone) => TOKENS[tone] ?? "accent";

function stack(series) {
  const out = [];
  for (const one of series) {
    const below = out[out.length - 1];
    out.push(one.values.map((value, at) => (value ?? 0) + (below?.[at] ?? 0)));
  }
  return out;
}

export function Chart({ label, height = 180, x, series, unit = count, marks = [], limits = [], stacked = false, bars = false, from, to, max }) {
  const [box, width] = useWidth();
  const chart = useRef(null);
  const place = useRef(null);
  const [tip, setTip] = useState(null);
  const [ready, setReady] = useState(false);
  const theme = resolvedTheme.value;
  const latest = useRef({});
  const tops = stacked ? stack(series) : series.map((one) => one.values);
  latest.current = { x, series, marks, limits, tops, from, to, max };
  // A stack is drawn from its top down, so that each covers what is above it.
  const order = stacked ? [...series.keys()].reverse() : [...series.keys()];
  const data = [x, ...order.map((at) => tops[at])];
  const shape = JSON.stringify([series.map(({ title, tone, fill, alpha }) => [title, tone, fill, alpha]), stacked, bars, height, theme]);

  useEffect(() => {
    if (width === 0) return undefined;
    let gone = false;
    library().then((Plot) => {
      if (gone) return;
      const [quiet, line] = [ink("quiet"), ink("line")];
      const font = `11px ${getComputedStyle(document.body).fontFamily}`;
      const axis = { stroke: quiet, font, grid: { stroke: line, width: 1 }, ticks: { show: false }, gap: 6 };
      chart.current = new Plot({
        width, height, padding: [8, 26, 0, 0], legend: { show: false },
        cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
        scales: {
          x: { time: true, range: (_, low, high) => [latest.current.from ?? low, Math.max(latest.current.to ?? high, (latest.current.from ?? low) + 1)] },
          y: { range: (_, low, high) => [0, latest.current.max ?? (Math.max(high ?? 0, ...latest.current.limits.map((limit) => limit.y), 0) * 1.08 || 1)] },
        },
        axes: [
          { ...axis, grid: { show: false }, size: 26, values: (_, all) => all.map((at) => (at % 86_400 === 0 ? dateTime(at * 1000).slice(5, 10) : clock(at * 1000).slice(0, all[1] - all[0] < 60 ? 8 : 5))), space: 70 },
          { ...axis, size: 62, values: (_, all) => all.map((value) => unit(value)), space: 36 },
        ],
        series: [{}, ...order.map((at) => {
          const one = series[at];
          const colour = ink(token(one.tone), one.alpha ?? 1);
          return {
            label: one.title, stroke: colour, width: bars ? 0 : 1.5, points: { show: Boolean(one.points), size: 5, fill: colour },
            fill: bars ? colour : one.fill ? ink(token(one.tone), 0.14) : undefined, spanGaps: false,
            paths: bars ? Plot.paths.bars({ size: [0.7, 24], align: 0 }) : undefined,
          };
        })],
        hooks: { draw: [drawMarks(latest)], setCursor: [(u) => tell(u, latest.current, setTip)] },
      }, data, place.current);
      setReady(true);
    }, () => {
      // Without it the words below the chart remain, and the next chart tries again.
    });
    return () => {
      gone = true;
      chart.current?.destroy();
      chart.current = null;
    };
  }, [shape, width > 0]);
  useEffect(() => { if (ready && width > 0) chart.current?.setSize({ width, height }); }, [width, height]);
  useEffect(() => { chart.current?.setData(data); }, [x, series, marks, limits, from, to, max]);

  return html`<figure class="chart" ref=${box}>
    <div role="img" aria-label=${told(label, x, series, unit)} class="chart-box" style=${{ height: `${height}px` }} ref=${place}></div>
    ${tip ? html`<div class="chart-tip" style=${{ left: `${tip.left}px` }} aria-hidden="true"><b>${dateTime(x[tip.at] * 1000)}</b>
      ${series.map((one) => (one.values[tip.at] === null || one.values[tip.at] === undefined ? null
        : html`<span><i class=${`dot tone-mark-${one.tone ?? "accent"}`} style=${{ opacity: one.alpha ?? 1 }}></i>${one.title} <b>${(one.format ?? unit)(one.values[tip.at])}</b></span>`))}
      ${marks.filter((mark) => Math.abs(mark.x - x[tip.at]) <= near(x)).map((mark) => html`<span class=${`tone-${mark.tone ?? "off"}`}>${mark.text}</span>`)}</div>` : null}
    ${series.length > 1 ? html`<figcaption class="legend">${series.map((one) => html`<span key=${one.title}><i class=${`dot tone-mark-${one.tone ?? "accent"}`} style=${{ opacity: one.alpha ?? 1 }}></i>${one.title}</span>`)}</figcaption>` : null}
  </figure>`;
}

const near = (x) => (x.length > 1 ? (x[x.length - 1] - x[0]) / x.length : 60);

function tell(u, { x }, setTip) {
  const at = u.cursor.idx;
  if (at === null || at === undefined || u.cursor.left < 0 || x[at] === undefined) {
    setTip(null);
    return;
  }
  const left = u.valToPos(x[at], "x") + u.bbox.left / devicePixelRatio;
  setTip((before) => (before?.at === at && before.left === left ? before : { at, left: Math.min(left, u.width - 150) }));
}

function drawMarks(latest) {
  return (u) => {
    const { marks, limits } = latest.current;
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.lineWidth = devicePixelRatio;
    for (const limit of limits) {
      const y = Math.round(u.valToPos(limit.y, "y", true));
      ctx.strokeStyle = ink(token(limit.tone ?? "off"));
      ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      if (limit.text) {
        ctx.font = `${10 * devicePixelRatio}px ${getComputedStyle(document.body).fontFamily}`;
        ctx.fillStyle = ink(limit.tone ?? "quiet");
        ctx.textAlign = "right";
        ctx.fillText(limit.text, bbox.left + bbox.width - 4, y - 3 * devicePixelRatio);
      }
    }
    ctx.setLineDash([]);
    for (const mark of marks) {
      const x = Math.round(u.valToPos(mark.x, "x", true));
      ctx.strokeStyle = ink(token(mark.tone ?? "off"));
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  };
}

// For those who do not see it: the last value and the range of each line.
function told(label, x, series, unit) {
  const parts = series.map((one) => {
    const values = one.values.filter((value) => value !== null && value !== undefined);
    if (values.length === 0) return `${one.title}: no data`;
    return `${one.title}: ${unit(values[values.length - 1])}, between ${unit(Math.min(...values))} and ${unit(Math.max(...values))}`;
  });
  return `${label}. ${parts.join("; ")}`;
}
