// What changes by itself: the overview, the agents, facts. With a session the server tells us (server-sent events); without,
// we ask every two seconds. Views see the same signals either way, and nothing moves while somebody reads.
import { batch, computed, effect, signal, useEffect, useRef } from "./html.js";
import { get, isAborted } from "./api.js";
import { session, whoAmI } from "./session.js";
import { factStream } from "./stream.js";
import { throttled } from "./throttle.js";
import { fitsTopic } from "./topic.js";

// Without a session we ask this often; with one only for what makes no fact (memory, CPU).
const POLL = 2000;
const POLL_LIVE = 5000;
// Facts come in bursts: agents are asked for at once, then at most this often; the overview likewise.
const AGENTS_EVERY = 250;
const OVERVIEW_EVERY = 1000;
// The server may answer with what was up to 25 ms ago: who asks sooner after a fact does not see what it changed.
const SETTLE = 30;
// What a proxy says of an orchestrator that is gone; 0 is no answer at all.
const GONE = new Set([0, 502, 504]);
// What is said while an orchestrator starts, stops or has too much to do.
const NOT_NOW = 503;
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

const matches = (pattern, topic) => [pattern].flat().some((one) => fitsTopic(one, topic));

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
// There were answers that told nothing: facts may have been missed, and the server may be another one now.
let interrupted = false;

// Takes note of an answer; whether views were told to load anew because there was none before.
function reached(status) {
  if (GONE.has(status)) {
    offlineSince.value ??= Date.now();
    connection.value = "offline";
    return false;
  }
  const was = interrupted || offlineSince.peek() !== null;
  interrupted = status === NOT_NOW;
  offlineSince.value = null;
  connection.value = stream.isOpen() ? "live" : "polling";
  if (interrupted || !was) return false;
  version = null;
  whoAmI();
  missed();
  return true;
}

async function once(what, load) {
  if (asking[what]) return asking[what];
  // Any answer is a sign of life, also "too busy".
  asking[what] = load().finally(() => { asking[what] = null; }).then(() => reached(200), (error) => {
    if (!isAborted(error)) reached(error.status ?? 0);
  });
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

// An answer that is under way may be from before the fact: then once more.
const soon = (what, load, every) => throttled(() => Promise.resolve(asking[what]).then(load), { every, settle: SETTLE });
const soonAgents = soon("agents", loadAgents, AGENTS_EVERY);
const soonOverview = soon("overview", loadOverview, OVERVIEW_EVERY);

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

export async function refreshNow() {
  resume();
  await refresh();
}

// After an action: what it changed is in the answer.
export async function refreshAfter() {
  await new Promise((resolve) => { setTimeout(resolve, SETTLE); });
  await Promise.all(Object.values(asking));
  await refresh();
}

// ---- the stream

const stream = factStream({
  opened: (lost) => { if (!reached(200) && lost) missed(); },
  fact: take,
  resync: missed,
  cut: () => { connection.value = offlineSince.peek() === null ? "polling" : "offline"; },
  refused: whoAmI,
});

function connect() {
  if (session.peek().role) stream.open();
  else stream.forget();
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
  addEventListener("pagehide", stream.close);
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
