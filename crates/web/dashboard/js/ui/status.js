// How something is: a word with a mark. Colour never stands alone.
import { html } from "../lib/html.js";
import { words } from "../lib/format.js";

// Worst first.
export const STATUSES = [
  "error", "timeout", "missing", "disabled_by_failure", "disabled_by_memory", "unhealthy", "backing_off", "disabled",
  "stopped", "stopping", "starting", "queued", "running", "idle",
];
const TONES = {
  running: "good", idle: "good", starting: "busy", queued: "busy", stopping: "busy", backing_off: "warn", unhealthy: "warn",
  error: "bad", timeout: "bad", missing: "bad", disabled_by_memory: "bad", disabled_by_failure: "bad", stopped: "off", disabled: "off",
};
const ENDS = {
  succeeded: "good", failed: "bad", timed_out: "bad", lost: "bad", refused: "warn", interrupted: "warn", skipped: "off", cancelled: "off",
};

export const statusTone = (status) => TONES[status] ?? "off";
export const endTone = (end) => ENDS[end] ?? "off";
export const statusRank = (status) => STATUSES.indexOf(status);

export const Status = ({ of, title }) =>
  html`<span class="status tone-${statusTone(of)} mark-${of}" title=${title}><i></i>${words(of)}</span>`;

export const End = ({ of, title }) => html`<span class="end tone-${endTone(of)}" title=${title}>${words(of)}</span>`;

export const Badge = ({ tone = "off", title, children }) => html`<span class="badge tone-${tone}" title=${title}>${children}</span>`;

export const Health = ({ of }) =>
  of === true ? html`<span class="status tone-good"><i></i>healthy</span>`
    : of === false ? html`<span class="status tone-bad mark-error"><i></i>unhealthy</span>`
      : html`<span class="quiet">not checked</span>`;
