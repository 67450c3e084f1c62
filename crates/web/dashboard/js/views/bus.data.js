// What the bus view shows: figures, responders, errors; and what its console sends.

import { pretty } from "./dead-letters.data.js";

/** Seconds and requests for the chart of the last minute. The last second is not over and would look like a fall. */
export function minute(perSecond = [], now = Date.now()) {
  const whole = perSecond.slice(0, -1);
  const newest = Math.floor(now / 1_000) - 1;
  return { x: whole.map((_, at) => newest - (whole.length - 1 - at)), values: whole };
}

/** Requests a second over the last ten whole seconds. */
export function rate(perSecond = []) {
  const last = perSecond.slice(-11, -1);
  return last.length === 0 ? 0 : last.reduce((sum, count) => sum + count, 0) / last.length;
}

/** Responders that fit the text, those with errors first, then the busiest. */
export function responders(bus, text = "") {
  const wanted = text.trim().toLowerCase();
  return (bus.responders ?? [])
    .filter((one) => !wanted || one.agent.toLowerCase().includes(wanted))
    .map((one) => ({ ...one, share: one.requests > 0 ? one.errors / one.requests : 0 }))
    .sort((a, b) => b.share - a.share || b.requests - a.requests || (a.agent < b.agent ? -1 : 1));
}

/** What went wrong since the start, in counts that are not 0. */
export function troubles(bus) {
  const { requests = {} } = bus;
  return [
    ["answered with “not available”", requests.unavailable], ["refused, too many waited", requests.overloaded],
    ["not answered in time", requests.timedOut], ["taken by nobody", requests.undelivered], ["answered too late", requests.lateReplies],
    ["answered by others than were asked", requests.rejectedReplies], ["triggers dropped", bus.triggersDropped],
    ["clients cut off, too slow", bus.slowConsumers], ["not allowed", bus.violations],
  ].filter(([, count]) => count > 0);
}

/** What a code of an error means. */
export function code(code) {
  return { 408: "too late", 429: "too many", 503: "not available", 404: "not found" }[code] ?? "error";
}

/** A payload as it was typed: JSON as such, everything else as text; `null` for nothing. */
export function typed(text) {
  if (text.trim() === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The request of the console. Throws an Error that says what is wrong. */
export function request({ to, payload, timeout }) {
  const subject = to.trim();
  if (!subject) throw new Error("who is asked? An agent, or a subject such as rpc.agent-sales.total");
  if (/\s/.test(subject)) throw new Error("a subject has no spaces");
  if (/[*>]/.test(subject)) throw new Error("a request goes to one subject, without wildcards");
  const timeoutMs = Math.round(Number(timeout) * 1_000);
  if (!(timeoutMs >= 1 && timeoutMs <= 60_000)) throw new Error("wait between 0.001 and 60 seconds");
  return { ...(subject.includes(".") ? { subject } : { agent: subject }), payload: typed(payload), timeoutMs };
}

/** The message of the console. Throws an Error that says what is wrong. */
export function message({ to, payload, headers = "" }) {
  const subject = to.trim();
  if (!subject) throw new Error("a message needs a subject, such as orders.created");
  if (/\s/.test(subject)) throw new Error("a subject has no spaces");
  if (/[*>]/.test(subject)) throw new Error("a message goes to one subject, without wildcards");
  const found = {};
  for (const line of headers.split("\n").map((part) => part.trim()).filter(Boolean)) {
    const at = line.indexOf(":");
    if (at < 1) throw new Error(`a header is “Name: value”; “${line}” is none`);
    found[line.slice(0, at).trim()] = line.slice(at + 1).trim();
  }
  const body = { subject, payload: typed(payload) };
  return Object.keys(found).length > 0 ? { ...body, headers: found } : body;
}

/** An answer's payload as text, laid out if it is JSON; base64 stays so. */
export function answered(answer) {
  if (typeof answer.payloadBase64 === "string") return { text: answer.payloadBase64, note: "It is no text; shown as base64." };
  if (answer.payload === null || answer.payload === undefined) return { text: "", note: "The answer is empty." };
  if (typeof answer.payload !== "string") return { text: JSON.stringify(answer.payload, null, 2), note: null };
  if (answer.payload === "") return { text: "", note: "The answer is empty." };
  return { text: pretty(answer.payload) ?? answer.payload, note: null };
}

/** Headers of an answer as pairs; those with several values have them all. */
export function headers(answer) {
  return Object.entries(answer.headers ?? {}).map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : String(value)]);
}
