// Numbers and times as people read them. An absent value is an empty text, never "null" or "NaN".

const known = (value) => value !== null && value !== undefined && value !== "" && !Number.isNaN(value);
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const count = (value) => (known(value) ? whole.format(value).replaceAll(",", " ") : "");
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
export const percent = (value, digits = 0) => (known(value) ? `${Number(value).toFixed(digits)} %` : "");
export const score = (value) => (known(value) ? String(Math.round(value)) : "");
export const words = (word) => (known(word) ? String(word).replaceAll("_", " ") : "");

export function ms(value) {
  if (!known(value)) return "";
  if (value === 0) return "0 ms";
  if (value < 1) return `${value.toFixed(2)} ms`;
  if (value < 10) return `${value.toFixed(1)} ms`;
  if (value < 1000) return `${Math.round(value)} ms`;
  if (value < 10_000) return `${(value / 1000).toFixed(2)} s`;
  if (value < 60_000) return `${(value / 1000).toFixed(1)} s`;
  return duration(value);
}

// The two largest units: `2d 3h`, `4m 05s`.
export function duration(value) {
  if (!known(value)) return "";
  const seconds = Math.max(0, Math.round(value / 1000));
  const [d, h, m, s] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60];
  if (d > 0) return h > 0 ? `${d}d ${h}h` : `${d}d`;
  if (h > 0) return m > 0 ? `${h}h ${m}m` : `${h}h`;
  if (m > 0) return s > 0 ? `${m}m ${s}s` : `${m}m`;
  return `${s}s`;
}

export function bytes(value) {
  if (!known(value)) return "";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = value;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(size >= 10 ? 1 : 2)} ${units[unit]}`;
}

// Milliseconds since the epoch of what the API calls a time, or NaN.
export const parseTime = (time) => (typeof time === "number" ? time : time ? Date.parse(time) : NaN);

const two = (n) => String(n).padStart(2, "0");

export function clock(time) {
  const at = new Date(parseTime(time));
  return Number.isNaN(at.getTime()) ? "" : `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

export function dateTime(time) {
  const at = new Date(parseTime(time));
  if (Number.isNaN(at.getTime())) return "";
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(at.getTime())}`;
}

// `3m ago`, `in 25s`, `now`.
export function relative(time, now = Date.now()) {
  const away = parseTime(time) - now;
  if (Number.isNaN(away)) return "";
  if (Math.abs(away) < 1000) return "now";
  return away > 0 ? `in ${coarse(away)}` : `${coarse(-away)} ago`;
}
export const ago = relative;
export const until = relative;

// The farther away, the coarser: a page of ticking seconds is restless.
function coarse(value) {
  const seconds = Math.round(value / 1000);
  if (seconds < 90) return `${seconds}s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes}m`;
  return minutes < 36 * 60 ? duration(minutes * 60_000) : duration(Math.round(minutes / 60) * 3_600_000);
}
