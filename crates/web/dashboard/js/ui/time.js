// Times: how long ago, with the whole time on hovering.
import { html } from "../lib/html.js";
import { clock, dateTime, duration, parseTime, relative } from "../lib/format.js";
import { now } from "../lib/live.js";

export function Time({ at, fallback = "" }) {
  const time = parseTime(at);
  if (Number.isNaN(time)) return fallback;
  return html`<time datetime=${new Date(time).toISOString()} title=${dateTime(time)}>${relative(time, now.value)}</time>`;
}

export function Clock({ at, date = false }) {
  const time = parseTime(at);
  if (Number.isNaN(time)) return "";
  return html`<time datetime=${new Date(time).toISOString()} title=${dateTime(time)}>${date ? dateTime(time) : clock(time)}</time>`;
}

export const Span = ({ ms }) => duration(ms);
