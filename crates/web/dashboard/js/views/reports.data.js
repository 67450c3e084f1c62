// What the reports view shows: proposals in words, baselines, and decisions.

import { span } from "./queue.data.js";

/** What is proposed, as the CLI words it. */
export function proposal(change) {
  switch (change.kind) {
    case "priority": return `${change.agent}: priority ${change.to} instead of ${change.from}`;
    case "timeout": return change.fromMs === null || change.fromMs === undefined
      ? `${change.agent}: timeout "${span(change.toMs)}"; it has none`
      : `${change.agent}: timeout "${span(change.toMs)}" instead of "${span(change.fromMs)}"`;
    case "workers": return `[queue] workers = ${change.to} instead of ${change.from}`;
    case "jitter": return `${names(change.agents, change.more)}: jitter "${span(change.jitterMs)}"`;
    default: return change.text ?? change.kind;
  }
}

/** `a, b and 3 more`. */
export function names(agents = [], more = 0) {
  const named = agents.join(", ");
  return more > 0 ? `${named} and ${more} more` : named;
}

/** The decision that a proposal became, if it was applied. */
export function appliedAs(report, number) {
  return (report.applied ?? []).find((applied) => applied.proposal === number)?.decision ?? null;
}

const RULES = { priority: "priorities", timeout: "time-outs", workers: "workers", jitter: "schedules that collide" };

/** What could not be judged, and what it would take. */
export function tooLittle(little) {
  const of = little.agents?.length > 0 ? ` of ${names(little.agents, little.more)}` : "";
  return `${RULES[little.rule] ?? little.rule}${of}: it takes ${little.needs}`;
}

/** Baselines as rows of numbers. */
export function baselines(report) {
  return (report.baselines ?? []).map((base) => ({
    ...base,
    runs: Object.values(base.ends ?? {}).reduce((sum, count) => sum + count, 0),
    p95Change: base.change?.p95Percent ?? null,
  }));
}

/** How busy the workers were, in a sentence; null: nothing was started. */
export function demand({ workers, busyShare, waitingP95Ms, atOnceMost } = {}) {
  if (typeof atOnceMost !== "number") return null;
  const busy = typeof busyShare === "number" ? `, ${Math.round(busyShare * 100)} % busy` : "";
  return `${workers} workers${busy}; 5 of 100 executions waited ${span(waitingP95Ms)} or longer, at most ${atOnceMost} were there at a time.`;
}

/** Decisions, those that stand first. */
export function decisions(all) {
  return [...all].sort((a, b) => Number(b.state === "standing") - Number(a.state === "standing") || b.id - a.id);
}
