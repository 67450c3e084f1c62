// What the schedule view shows: when who is due, where too much is due at once, and what a simulation foresees.
import { count, duration, ms } from "../lib/format.js";

export const DAY_MS = 24 * 3_600_000;

/** One row per agent, the one that is due first on top; times are milliseconds since the epoch, ascending. */
export function timeline(runs, agents = new Map()) {
  const found = new Map();
  for (const run of runs) {
    const row = found.get(run.agent) ?? {
      name: run.agent,
      trigger: run.trigger,
      department: agents.get(run.agent)?.department ?? "",
      schedule: agents.get(run.agent)?.schedule ?? null,
      status: agents.get(run.agent)?.status ?? null,
      times: [],
    };
    row.times.push(Date.parse(run.at));
    found.set(run.agent, row);
  }
  const all = [...found.values()];
  for (const row of all) row.times.sort((a, b) => a - b);
  return all.sort((a, b) => a.times[0] - b.times[0] || (a.name < b.name ? -1 : 1));
}

/**
 * Times as marks on a line from 0 to 1. Marks nearer than `least` melt into one that is as long as they are, and knows
 * how many they are and the shortest and longest time between two: an agent that runs every second is a band, not 86,400
 * elements.
 */
export function marks(times, from, span, least = 0.004) {
  const found = [];
  let before = null;
  for (const time of times) {
    const at = (time - from) / span;
    if (at < 0 || at > 1) continue;
    const last = found.at(-1);
    if (last && at - last.to < least) {
      const gap = time - before;
      last.to = at;
      last.count += 1;
      last.gaps = last.gaps ? [Math.min(last.gaps[0], gap), Math.max(last.gaps[1], gap)] : [gap, gap];
    } else {
      found.push({ from: at, to: at, count: 1 });
    }
    before = time;
  }
  return found;
}

/** From so many on, marks that melted are a band that says in words how often it is. */
const BAND = 3;
/** Times that differ by less than this share are regular: those of the clock are cut to whole milliseconds. */
const REGULAR = 0.02;

/** How often within marks that melted: `every 2s`, or where that varies `about 1 800 an hour`; null where it is no band. */
export function often({ from, to, count: runs, gaps }, span) {
  if (runs < BAND) return null;
  const step = ((to - from) * span) / (runs - 1);
  if (!(step > 0)) return null;
  if (gaps[1] - gaps[0] <= Math.max(1, REGULAR * step)) return `every ${step < 1_000 ? ms(step) : duration(step)}`;
  const [unit, long] = step < 1_800_000 ? ["an hour", 3_600_000] : ["a day", DAY_MS];
  return `about ${count(Number((long / step).toPrecision(2)))} ${unit}`;
}

/** The same marks of an agent of whom only the first times were told: the last band goes on as regularly to the end. */
export function goingOn(drawn) {
  const last = drawn.at(-1);
  if (!last || last.count < 2) return drawn;
  const runs = 1 + Math.floor(((1 - last.from) / (last.to - last.from)) * (last.count - 1));
  return [...drawn.slice(0, -1), { ...last, to: 1, count: runs }];
}

/**
 * How many are due in each of so many equal parts of the time, and whether a second of one has more than there are workers.
 * Of agents in `goesOn` only the first times were told; they go on as regularly.
 */
export function crowd(rows, from, span, parts, crowded, goesOn = new Set()) {
  const seconds = new Set(crowded.map(({ at }) => at));
  const bars = Array.from({ length: parts }, (_, at) => ({ at: from + (at * span) / parts, due: 0, crowded: false }));
  const long = span / parts;
  for (const { name, times } of rows) {
    for (const time of times) {
      const bar = bars[Math.floor(((time - from) / span) * parts)];
      if (!bar) continue;
      bar.due += 1;
      if (seconds.has(second(time))) bar.crowded = true;
    }
    if (!goesOn.has(name) || times.length < 2) continue;
    const last = times.at(-1);
    const step = (last - times[0]) / (times.length - 1);
    for (const bar of bars) bar.due += Math.max(0, bar.at + long - Math.max(bar.at, last)) / step;
  }
  for (const bar of bars) bar.due = Math.round(bar.due);
  return bars;
}

/** Seconds in which more is due than there are workers, the fullest first. */
export function collisions(runs, workers) {
  const found = new Map();
  for (const run of runs) {
    const at = second(Date.parse(run.at));
    const agents = found.get(at) ?? found.set(at, new Map()).get(at);
    agents.set(run.agent, (agents.get(run.agent) ?? 0) + 1);
  }
  const crowded = [];
  for (const [at, agents] of found) {
    const due = [...agents.values()].reduce((sum, count) => sum + count, 0);
    if (due > workers) crowded.push({ at, due, agents: [...agents.keys()].sort() });
  }
  return crowded.sort((a, b) => b.due - a.due || a.at - b.at);
}

const second = (time) => Math.floor(time / 1_000) * 1_000;

/** Whole hours within a span of time, for the axis; every second, third … one where there are many. */
export function hours(from, span, most = 12) {
  const step = [1, 2, 3, 4, 6, 12, 24].find((hours) => span / 3_600_000 / hours <= most) ?? 24;
  const first = new Date(from);
  first.setMinutes(0, 0, 0);
  const ticks = [];
  for (let at = first.getTime(); at <= from + span; at += 3_600_000) {
    if (at >= from && new Date(at).getHours() % step === 0) ticks.push(at);
  }
  return ticks;
}

/** Rows that fit the text: agent, department or schedule. */
export function search(rows, text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return rows;
  return rows.filter((row) => [row.name, row.department, row.schedule ?? ""].some((word) => word.toLowerCase().includes(wanted)));
}

/** What is asked of the simulation; empty fields are left out. Throws an Error that says what is wrong with a field. */
export function question({ hours, workers, agent, from }, now = Date.now()) {
  const query = {};
  const begin = from ? Date.parse(from) : now;
  if (Number.isNaN(begin)) throw new Error("“from” is no time");
  const length = number(hours, "hours", 0.1, 31 * 24) ?? 24;
  query.from = new Date(begin).toISOString();
  query.to = new Date(begin + length * 3_600_000).toISOString();
  const some = number(workers, "workers", 1, 100_000);
  if (some !== null) query.workers = Math.round(some);
  if (agent?.trim()) query.agent = agent.trim();
  return query;
}

function number(text, name, least, most) {
  if (text === undefined || text === null || String(text).trim() === "") return null;
  const value = Number(text);
  if (!Number.isFinite(value) || value < least || value > most) throw new Error(`${name} is a number from ${least} to ${most}`);
  return value;
}

/** Forecasts of agents that have something to tell, the most troubled first. */
export function forecasts(simulation) {
  const trouble = (agent) => agent.failed + agent.timedOut + agent.skipped + agent.refused + agent.cancelled;
  return (simulation.agents ?? [])
    .filter((agent) => agent.triggers > 0 || agent.leftWaiting > 0 || agent.leftRunning > 0)
    .map((agent) => ({ ...agent, trouble: trouble(agent) }))
    .sort((a, b) => b.trouble - a.trouble || b.busyMs - a.busyMs || (a.agent < b.agent ? -1 : 1));
}
