// What the queue view shows: the line in its order, and in words why something is not running.

/** Rows of the queue that fit the filter; those in line first, as the orchestrator sorted them. */
export function rows(queue, { text = "", why = "" } = {}) {
  const wanted = text.trim().toLowerCase();
  return (queue?.waiting ?? [])
    .map((waiting) => ({ ...waiting, sentence: sentence(waiting.reason), asked: asked(waiting.trigger) }))
    .filter((row) => (!why || row.reason?.code === why) &&
      (!wanted || [row.agent, row.run, row.asked, row.sentence].some((word) => word.toLowerCase().includes(wanted))));
}

/** What holds things up, and how many each: `[{ code, count, sentence }]`, the most frequent first. */
export function causes(queue) {
  const found = new Map();
  for (const { reason } of queue?.waiting ?? []) {
    const code = reason?.code ?? "unknown";
    const cause = found.get(code) ?? found.set(code, { code, count: 0, label: label(code) }).get(code);
    cause.count += 1;
  }
  return [...found.values()].sort((a, b) => b.count - a.count || (a.code < b.code ? -1 : 1));
}

/** Figures of the whole line. */
export function figures(queue) {
  const waiting = queue?.waiting ?? [];
  const longest = waiting.reduce((most, one) => Math.max(most, one.waiting_ms), 0);
  const inLine = waiting.filter((one) => one.position !== null && one.position !== undefined).length;
  return { waiting: waiting.length, inLine, parked: waiting.length - inLine, longest: waiting.length > 0 ? longest : null };
}

/** `3`, or `3 → 2` for what has waited so long that it counts more. */
export function priority({ priority, effective_priority: effective }) {
  return typeof effective === "number" && effective !== priority ? `${priority} → ${effective}` : String(priority);
}

/** What asked for an execution, in a few words. */
export function asked(trigger) {
  switch (trigger?.kind) {
    case undefined: return "";
    case "subject": return `message on ${trigger.subject}`;
    case "after": return `after ${trigger.agent}`;
    case "manual": return `by hand: ${trigger.by}${trigger.force ? ", forced" : ""}`;
    case "replay": return `replay of dead letter ${trigger.dead_letter}`;
    default: return trigger.kind;
  }
}

/** A reason of the orchestrator in words. A reason that brings its own text is shown with that. */
export function sentence(reason) {
  if (!reason) return "";
  if (typeof reason === "string") return reason;
  if (reason.text || reason.message) return reason.text ?? reason.message;
  switch (reason.code) {
    case "waiting_for_worker": return `waits for a worker; all ${reason.workers} are busy`;
    case "waiting_for_previous": return "waits until an earlier execution of the same agent has ended";
    case "waiting_for_layer": return `waits until it is the turn of boot layer ${reason.layer}`;
    case "waiting_for_restart_room":
      return `waits for the global breaker: ${reason.max_restarts} automatic restarts in ${span(reason.window_ms)} were used up`;
    case "backing_off": return `tries again ${span(reason.delay_ms)} after the last attempt: ${sentence(reason.cause)}`;
    case "unhealthy_dependencies": return `waits for ${(reason.dependencies ?? []).map(dependency).join(", ")}`;
    case "paused": return "all triggers are paused";
    case "trial_in_progress": return "waits for the trial after its breaker’s cooldown";
    case "exited": return exit(reason.exit);
    case "timed_out": return `timed out after ${span(reason.timeout_ms)}`;
    case "not_ready": return `was not ready within ${span(reason.timeout_ms)}`;
    default: return label(reason.code);
  }
}

/** How a program ended. */
export function exit(exit) {
  switch (exit?.kind) {
    case undefined: return "";
    case "clean": return "ended well";
    case "code": return `exited with code ${exit.value}`;
    case "signal": return `was ended by signal ${exit.value}`;
    case "spawn_failed": return `could not be started${exit.value ? `: ${exit.value}` : ""}`;
    default: return label(exit.kind);
  }
}

const dependency = (one) => `${one.dep ?? one.agent} (${one.error ?? one.reason ?? one.status ?? "unhealthy"})`;

export const label = (code) => String(code ?? "").replaceAll("_", " ");

/** A length of time that is part of a sentence. */
export function span(ms) {
  if (typeof ms !== "number") return "a while";
  const units = [[86_400_000, "d"], [3_600_000, "h"], [60_000, "min"], [1_000, "s"]];
  const [size, unit] = units.find(([size]) => ms >= size) ?? [1, "ms"];
  return `${Math.round((ms / size) * 10) / 10} ${unit}`;
}
