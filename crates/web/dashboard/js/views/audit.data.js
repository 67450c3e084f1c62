// What the audit view shows of a change: what changed, and what is asked of the API.

/** What a change changed, a row per value: `[{ key, before, after }]`; what is the same on both sides is left out. */
export function changes(before, after) {
  const old = flat(before);
  const now = flat(after);
  const keys = [...new Set([...old.keys(), ...now.keys()])];
  return keys
    .map((key) => ({ key, before: old.get(key), after: now.get(key) }))
    .filter((row) => row.before !== row.after);
}

/** Nested values by their paths, as text. */
function flat(value, path = "", found = new Map()) {
  if (value === null || value === undefined) {
    if (path) found.set(path, "none");
    return found;
  }
  if (typeof value !== "object") {
    found.set(path || "value", String(value));
    return found;
  }
  const entries = Array.isArray(value) ? value.map((item, at) => [String(at + 1), item]) : Object.entries(value);
  if (Array.isArray(value) && value.every((item) => item === null || typeof item !== "object")) {
    found.set(path || "value", value.join(", ") || "none");
    return found;
  }
  for (const [key, item] of entries) flat(item, path ? `${path}.${key}` : key, found);
  return found;
}

/** A change in a line: `status: idle → stopped`; several are counted. */
export function summary(entry) {
  const rows = changes(entry.before, entry.after);
  if (rows.length === 0) return "";
  // Who reads a list wants to know what, not when or under which number.
  const first = rows.find(({ key }) => !/(^|\.)(id|expires|\w+At)$/.test(key)) ?? rows[0];
  const text = `${first.key}: ${first.before ?? "none"} → ${first.after ?? "none"}`;
  return rows.length === 1 ? text : `${text} and ${rows.length - 1} more`;
}

/** How it came out. */
export function outcome(status) {
  if (status >= 200 && status < 300) return { tone: "good", word: "done" };
  if (status === 401 || status === 403) return { tone: "warn", word: "denied" };
  if (status >= 400 && status < 500) return { tone: "warn", word: "refused" };
  return { tone: "bad", word: "failed" };
}

/** The filter as the API takes it. */
export function query({ who, action, since } = {}, now = Date.now()) {
  const spans = { "1h": 3_600_000, "24h": 86_400_000, "7d": 7 * 86_400_000 };
  const asked = {};
  if (who?.trim()) asked.who = who.trim();
  if (action?.trim()) asked.action = action.trim();
  if (since) asked.since = spans[since] ? new Date(now - spans[since]).toISOString() : since;
  return asked;
}
