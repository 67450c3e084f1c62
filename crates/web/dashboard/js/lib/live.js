// What changes by itself: the overview, the agents, facts. With a session the server tells us (server-sent events); without,
// we ask every two seconds. Views see the same signals either way, and nothing moves while somebody reads.
import { batch, computed, effect, signal, useEffect, useRef } from "./html.js";
import { address, get, isAborted } from "./api.js";
import { session, whoAmI } from "./session.js";

// Without a session we ask this often; with one only for what makes no fact (memory, CPU).
const POLL = 2000;
const POLL_LIVE = 5000;
// Facts come in bursts: agents are asked for at once, then at most this often; the overview likewise.
const AGENTS_EVERY = 250;
const OVERVIEW_EVERY = 1000;
// Facts that wait while somebody reads; what comes after makes the views load anew.
const WAITING = 1000;
// Scrolled down by more than this is reading, until one is back near the top.
const READING = 160;
const BACK = 60;

export const overview = signal(null);
export const agents = signal(new Map());
export const agentList = computed(() => [...agents.value.values()]);
// "live": told by the server, "polling": asking, "offline": no answer.
export const connection = signal("polling");
export const offlineSince = signal(null);
export const loaded = computed(() => overview.value !== null);
export const now = signal(Date.now());
// Facts that came while paused.
export const waitingFacts = signal(0);

let begun = false;
let lastPoll = 0;
let stream = null;
let retry = null;
let failures = 0;

// ---- pausing

const byHand = signal(false);
const selecting = signal(false);
const scrolled = signal(false);
// Reasons that somebody went on in spite of; each counts again once it was over.
const ignored = { selecting: signal(false), scrolled: signal(false) };
const asked = signal(null);

export const paused = computed(() => {
  if (byHand.value) return "you paused them";
  if (asked.value) return asked.value;
  if (selecting.value && !ignored.selecting.value) return "text is selected";
  if (scrolled.value && !ignored.scrolled.value) return "you have scrolled down";
  return null;
});
export const pause = (why) => { asked.value = why; };
export const resume = () => {
  batch(() => {
    byHand.value = false;
    asked.value = null;
    ignored.selecting.value = selecting.peek();
    ignored.scrolled.value = scrolled.peek();
  });
};
export const togglePause = () => (paused.peek() ? resume() : (byHand.value = true));

addEventListener("scroll", () => {
  const is = scrollY > (scrolled.peek() ? BACK : READING);
  if (is !== scrolled.peek()) scrolled.value = is;
}, { passive: true });
document.addEventListener("selectionchange", () => {
  const selection = document.getSelection();
  const inField = /^(INPUT|TEXTAREA)$/.test(document.activeElement?.tagName ?? "");
  const is = !inField && selection !== null && !selection.isCollapsed && selection.toString().trim() !== "";
  if (is !== selecting.peek()) selecting.value = is;
});
effect(() => {
  if (!selecting.value) ignored.selecting.value = false;
  if (!scrolled.value) ignored.scrolled.value = false;
});

// ---- facts

const listeners = new Set();
const held = [];
let overflowed = false;

export function matches(pattern, topic) {
  return [pattern].flat().some((one) => {
    const wanted = one.split(".");
    const parts = topic.split(".");
    for (let at = 0; at < wanted.length; at += 1) {
      if (wanted[at] === ">") return parts.length > at;
      if (at >= parts.length || (wanted[at] !== "*" && wanted[at] !== parts[at])) return false;
    }
    return parts.length === wanted.length;
  });
}

// `fn(fact)` for each fact whose type fits; `fn(null)`: some were missed, load anew. Returns the undo.
export function onFact(pattern, fn) {
  const entry = { pattern, fn };
  listeners.add(entry);
  return () => listeners.delete(entry);
}

export function useFacts(pattern, fn) {
  const latest = useRef(fn);
  latest.current = fn;
  const key = [pattern].flat().join(" ");
  useEffect(() => onFact(pattern, (fact) => latest.current(fact)), [key]);
}

function deliver(facts, missed) {
  batch(() => {
    for (const { pattern, fn } of [...listeners]) {
      if (missed) fn(null);
      for (const fact of facts) if (matches(pattern, fact.type)) fn(fact);
    }
  });
}

let arrived = [];
function take(fact) {
  if (paused.peek()) {
    if (held.length < WAITING) held.push(fact);
    else overflowed = true;
    waitingFacts.value += 1;
    return;
  }
  arrived.push(fact);
  if (arrived.length === 1) queueMicrotask(flush);
}

function flush() {
  const facts = arrived;
  arrived = [];
  deliver(facts, false);
  soonAgents();
  soonOverview();
}

function missed() {
  if (paused.peek()) {
    overflowed = true;
    return;
  }
  deliver([], true);
  refresh();
}

// ---- agents and overview

let version = null;
const asking = { agents: null, overview: null };

function reached(ok) {
  if (ok) {
    if (offlineSince.peek() !== null) {
      offlineSince.value = null;
      version = null;
      whoAmI();
      missed();
    }
    connection.value = stream?.readyState === EventSource.OPEN ? "live" : "polling";
  } else {
    offlineSince.value ??= Date.now();
    connection.value = "offline";
  }
}

async function once(what, load) {
  if (asking[what]) return asking[what];
  asking[what] = load().then(() => reached(true), (error) => {
    if (isAborted(error)) return;
    // Any answer is a sign of life, also "too busy".
    reached(error.status > 0);
  }).finally(() => { asking[what] = null; });
  return asking[what];
}

function loadAgents() {
  return once("agents", async () => {
    const answer = await get("/agent-changes", { since: version });
    if (paused.peek() && version !== null) return;
    apply(answer);
  });
}

function apply({ version: next, full, agents: rows, removed = [] }) {
  version = next;
  const before = agents.peek();
  if (!full && rows.length === 0 && removed.length === 0) return;
  const map = full ? new Map() : new Map(before);
  for (const row of rows) map.set(row.name, row);
  for (const name of removed) map.delete(name);
  agents.value = map;
}

function loadOverview() {
  return once("overview", async () => {
    const answer = await get("/overview");
    if (paused.peek() && overview.peek() !== null) return;
    overview.value = answer;
  });
}

// At once, then at most every so often.
function throttled(fn, every) {
  let last = -Infinity;
  let timer = null;
  return () => {
    if (timer !== null) return;
    const wait = Math.max(0, last + every - performance.now());
    timer = setTimeout(() => {
      timer = null;
      last = performance.now();
      fn();
    }, wait);
  };
}
const soonAgents = throttled(loadAgents, AGENTS_EVERY);
const soonOverview = throttled(loadOverview, OVERVIEW_EVERY);

export function refresh() {
  if (!begun) return Promise.resolve();
  return Promise.all([loadAgents(), loadOverview()]);
}

effect(() => {
  if (paused.value) return;
  const [facts, gap] = [held.splice(0), overflowed];
  overflowed = false;
  waitingFacts.value = 0;
  if (facts.length > 0 || gap) deliver(gap ? [] : facts, gap);
  refresh();
});

// After an action: what it changed is seen at once, even while reading.
export async function refreshNow() {
  resume();
  await refresh();
}

// ---- the stream

function connect() {
  disconnect();
  if (!session.peek().role) return;
  stream = new EventSource(address("/events/stream"));
  stream.addEventListener("open", () => {
    failures = 0;
    reached(true);
  });
  stream.addEventListener("fact", (event) => take(JSON.parse(event.data)));
  stream.addEventListener("resync", missed);
  stream.addEventListener("error", () => {
    connection.value = offlineSince.peek() === null ? "polling" : "offline";
    // Refused (too many streams, logged out): the browser gives up, we ask again later; meanwhile we poll.
    if (stream?.readyState === EventSource.CLOSED) {
      disconnect();
      failures += 1;
      whoAmI();
      retry = setTimeout(connect, Math.min(30_000, 1000 * 2 ** failures));
    }
  });
}

function disconnect() {
  clearTimeout(retry);
  stream?.close();
  stream = null;
}

// ---- the clock and the poll

export function begin() {
  if (begun) return;
  begun = true;
  effect(() => {
    // Logged in or out: another stream, and perhaps more to see.
    session.value.role;
    if (session.value.known) {
      connect();
      refresh();
    }
  });
  setInterval(tick, 1000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) tick(); });
  addEventListener("pagehide", disconnect);
  addEventListener("pageshow", (event) => { if (event.persisted) connect(); });
}

function tick() {
  if (document.hidden) return;
  if (!paused.peek()) now.value = Date.now();
  const every = connection.peek() === "live" ? POLL_LIVE : POLL;
  if (performance.now() - lastPoll >= every - 50 && !(paused.peek() && connection.peek() !== "offline")) {
    lastPoll = performance.now();
    refresh();
  }
}
