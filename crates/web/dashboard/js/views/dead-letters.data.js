// What the dead-letter view shows and asks: filters, groups, a letter with its circumstances, and bodies of requests.

import { asked, exit } from "./queue.data.js";

export const STATES = ["open", "waiting", "replaying", "replayed", "parked"];

const SPANS = { "1h": 3_600_000, "24h": 86_400_000, "7d": 7 * 86_400_000 };

/** The filter as the API takes it; empty fields are left out. `since` is `1h`, `24h`, `7d` or a time. */
export function filter({ agent, signature, state, since, text } = {}, now = Date.now()) {
  const query = {};
  if (agent?.trim()) query.agent = agent.trim();
  if (signature) query.signature = signature;
  if (state) query.state = state;
  if (since) query.since = SPANS[since] ? new Date(now - SPANS[since]).toISOString() : since;
  if (text?.trim()) query.text = text.trim();
  return query;
}

/** The filter in words, to be put after “12 dead letters”. */
export function inWords({ agent, signature, state, since, text } = {}) {
  const words = [];
  if (agent?.trim()) words.push(`of ${agent.trim()}`);
  if (state) words.push(`in state ${state.replaceAll(",", " or ")}`);
  if (since) words.push(SPANS[since] ? `of the last ${since}` : `since ${since}`);
  if (text?.trim()) words.push(`that mention “${text.trim()}”`);
  if (signature) words.push(`with the error “${signature}”`);
  return words.join(" ");
}

/** The body of a request about many: an empty filter has to say that all are meant. */
export function many(fields, more = {}, now) {
  const meant = filter(fields, now);
  return { ...(Object.keys(meant).length > 0 ? { filter: meant } : { all: true }), ...more };
}

/** The pace of a set, from what was typed. Throws an Error that says what is wrong. */
export function pace({ rate, stopAfter }) {
  const perSecond = Number(rate);
  if (!(perSecond > 0 && perSecond <= 10_000)) throw new Error("the rate is a number of replays a second, up to 10,000");
  const stop = Number(stopAfter);
  if (!Number.isInteger(stop) || stop < 0) throw new Error("stop after a whole number of failures; 0 goes on to the end");
  return { rate: perSecond, stopAfter: stop };
}

/** `open`, `open, tried 2×`, `waits for db`. */
export function standing(letter) {
  if (letter.waitsFor) return `waits for ${letter.waitsFor}`;
  const tried = letter.replays > 0 && !["replayed", "replaying"].includes(letter.state);
  return tried ? `${letter.state}, tried ${letter.replays}×` : letter.state;
}

/** Letters of a page, newest first, as the table shows them. */
export function rows(page) {
  return [...(page?.deadLetters ?? [])].reverse();
}

/** The payload as text that can be edited; `null` where there is none; bytes that are no text stay base64. */
export function payload(letter) {
  const data = letter?.executionData ?? {};
  if (typeof data.payload === "string") return { text: data.payload, encoding: "text" };
  if (typeof data.payloadBase64 === "string") return { text: data.payloadBase64, encoding: "base64" };
  return null;
}

/** What was typed, as the API takes it. Throws an Error for what is no base64. */
export function edited(text, encoding) {
  if (encoding !== "base64") return { payload: text };
  const packed = text.replace(/\s+/g, "");
  if (packed.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(packed)) throw new Error("this is no base64");
  return { payloadBase64: packed };
}

/** Whether a text is JSON, and how it is laid out with indents: `null`, it is none. */
export function pretty(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null ? JSON.stringify(value, null, 2) : null;
  } catch {
    return null;
  }
}

/** The facts of a letter, a pair each, without those that are not known. */
export function facts(letter) {
  const data = letter.executionData ?? {};
  return [
    ["error", letter.error],
    ["signature", letter.signature],
    ["execution", letter.runId],
    ["failed attempts", String(letter.restartCount)],
    ["state", standing(letter)],
    ["last replay", letter.replayRun],
    ["killed its agent", letter.kills > 0 ? `${letter.kills}×` : null],
    ["replay of", letter.origin ? `dead letter ${letter.origin}` : null],
    ["asked for", asked(data.trigger)],
    ["ended", exit(data.exit)],
    ["department", data.department],
    ["schedule", data.schedule],
  ].filter(([, value]) => value !== null && value !== undefined && value !== "");
}

/** How far a set is, from 0 to 1. */
export function progress(set) {
  return set.total > 0 ? (set.succeeded + set.failed + set.passedOver) / set.total : 1;
}

/** A set in words: `7 of 12: 5 succeeded, 2 failed`. */
export function progressInWords(set) {
  const done = set.succeeded + set.failed + set.passedOver;
  const parts = [`${set.succeeded} succeeded`];
  if (set.failed > 0) parts.push(`${set.failed} failed`);
  if (set.passedOver > 0) parts.push(`${set.passedOver} passed over`);
  if (set.underWay > 0) parts.push(`${set.underWay} under way`);
  return `${done} of ${set.total}: ${parts.join(", ")}`;
}

/** Sets that are at work, then those that are over; newest first each. */
export function sets(answer) {
  return [...(answer?.replays ?? [])].sort((a, b) => Number(a.over) - Number(b.over) || b.id - a.id);
}

/** Which of the actions a letter takes. */
export function possible(letter) {
  const busy = letter.state === "replaying";
  return {
    replay: !busy,
    force: letter.state === "parked" || letter.state === "replayed",
    edit: !busy,
    discard: !busy,
    wait: !busy && letter.state !== "waiting",
    stopWaiting: letter.state === "waiting",
  };
}
