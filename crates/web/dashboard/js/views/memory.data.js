// What the memory view shows: the ladder of thresholds, the course of the last two hours, and profiles.

/** The ladder from below: what happens from which percentage on, and whether that is so now. */
export function ladder(memory) {
  const { warningPercent, criticalPercent, recoverPercent } = memory.thresholds;
  const { level, percent } = memory;
  return [
    {
      id: "critical", at: criticalPercent, tone: "bad", on: level === "critical",
      text: "A profile is kept. Agents of priority 3 are disabled, the largest first, until enough is free.",
    },
    {
      id: "warning", at: warningPercent, tone: "warn", on: level !== "normal" && percent >= warningPercent,
      text: "Caches and the allocator give memory back.",
    },
    {
      id: "recovered", at: recoverPercent, tone: "good", on: (memory.shed ?? []).length > 0 && percent < recoverPercent,
      text: "Under this, disabled agents come back, the most important first.",
    },
  ];
}

/** A history as columns for a chart: seconds and bytes, and its events as marks within it. */
export function course(history) {
  const points = history?.points ?? [];
  const x = points.map(([time]) => time / 1_000);
  const [first, last] = [x[0], x.at(-1)];
  const marks = (history?.marks ?? [])
    .map((mark) => ({ x: seconds(mark.time), text: mark.text ?? mark.kind, tone: toneOfMark(mark.kind), kind: mark.kind }))
    .filter((mark) => first !== undefined && mark.x >= first && mark.x <= last);
  return { x, values: points.map(([, bytes]) => bytes), marks };
}

const seconds = (time) => (typeof time === "number" ? time : Date.parse(time)) / 1_000;

/** How bad an event of memory is. */
export function toneOfMark(kind = "") {
  if (kind.includes("critical") || kind.includes("limit")) return "bad";
  if (kind.includes("warning") || kind.includes("disabled") || kind.includes("shed")) return "warn";
  if (kind.includes("recovered") || kind.includes("enabled")) return "good";
  return "off";
}

/** Thresholds as heights of the chart, which is in bytes: only where the budget is what counts. */
export function limits(memory) {
  if (memory.cause === "host" || !memory.budgetBytes) return [];
  const line = (percent, text, tone) => ({ y: (memory.budgetBytes * percent) / 100, text: `${text} ${percent} %`, tone });
  const { warningPercent, criticalPercent, recoverPercent } = memory.thresholds;
  return [line(criticalPercent, "critical", "bad"), line(warningPercent, "warning", "warn"), line(recoverPercent, "recovers", "good")];
}

/** Where the percentage comes from, in words. */
export function cause(memory) {
  return memory.cause === "host" ? "of the host’s memory is in use" : "of the budget is in use";
}

/** What can be seen of a profile's own memory, the largest part first. */
export function parts(rollup) {
  if (!rollup) return [];
  const names = [["anonymous", "anonymous"], ["privateDirty", "private, written"], ["privateClean", "private, read"],
    ["sharedClean", "shared, read"], ["sharedDirty", "shared, written"], ["swap", "in swap"]];
  return names.map(([key, name]) => [name, rollup[key]]).filter(([, bytes]) => bytes > 0).sort((a, b) => b[1] - a[1]);
}
