// What the settings view shows: every threshold with its value, where it comes from and what it does; and what a
// reload would change.

/** Where a value comes from, in words. */
export function source(origin) {
  if (typeof origin === "string") return origin;
  switch (origin?.from) {
    case "file": return `${origin.path}:${origin.line}`;
    case "environment": return `$${origin.variable ?? origin.name}`;
    case "command_line": case "commandLine": return "command line";
    default: return "default";
  }
}

/** A value as the file has it. */
export function shown(value) {
  if (value === null || value === undefined) return "none";
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return value.length === 0 ? "none" : value.map(shown).join(", ");
  return JSON.stringify(value);
}

/** Settings by their section, those that fit; `set`: only what somebody set. */
export function sections(report, { text = "", set = false } = {}) {
  const wanted = text.trim().toLowerCase();
  const settings = Array.isArray(report) ? report : (report?.settings ?? []);
  const found = new Map();
  for (const setting of settings) {
    const row = { ...setting, from: source(setting.origin), text: shown(setting.value), isSet: source(setting.origin) !== "default" };
    if (set && !row.isSet) continue;
    if (wanted && ![row.key, row.text, row.from, row.effect ?? ""].some((word) => word.toLowerCase().includes(wanted))) continue;
    const section = row.key.split(".")[0];
    found.set(section, [...(found.get(section) ?? []), row]);
  }
  return [...found].map(([name, rows]) => ({ name, rows }));
}

/** What a reload would do, in numbers and rows. */
export function plan(preview) {
  const faults = preview?.faults ?? [];
  const rows = [
    ...(preview?.added ?? []).map((agent) => ({ kind: "added", subject: agent, keys: [] })),
    ...(preview?.removed ?? []).map((agent) => ({ kind: "removed", subject: agent, keys: [] })),
    ...(preview?.changed ?? []).map((one) => (typeof one === "string"
      ? { kind: "changed", subject: one, keys: [] }
      : { kind: "changed", subject: one.agent, keys: one.keys ?? [] })),
    ...(preview?.settings ?? []).map((one) => (typeof one === "string"
      ? { kind: "setting", subject: one, keys: [] }
      : { kind: "setting", subject: one.key, keys: [{ key: "", before: one.before, after: one.after }], effect: one.effect, late: one.applies === "after_restart" })),
  ];
  return { valid: preview?.valid !== false && faults.length === 0, faults: faults.map(fault), notices: (preview?.notices ?? []).map(fault), rows };
}

/** A fault with its place, whatever shape it comes in. */
export function fault(one) {
  if (typeof one === "string") return { place: "", text: one, hint: null };
  const place = [one.file ?? one.path, one.line, one.column].filter((part) => part !== null && part !== undefined).join(":");
  return { place, text: one.message ?? one.text ?? one.problem ?? JSON.stringify(one), hint: one.hint ?? null, subject: one.agent ?? one.key ?? null };
}

/** What was found in a few words: `2 agents added, 1 removed, 3 settings changed`. */
export function planInWords({ rows }) {
  const counted = (kind) => rows.filter((row) => row.kind === kind).length;
  const parts = [
    [counted("added"), "added"], [counted("removed"), "removed"], [counted("changed"), "changed"],
  ].filter(([number]) => number > 0).map(([number, word]) => `${number} agent${number === 1 ? "" : "s"} ${word}`);
  const settings = counted("setting");
  if (settings > 0) parts.push(`${settings} setting${settings === 1 ? "" : "s"} changed`);
  return parts.length > 0 ? parts.join(", ") : "nothing";
}

/** Tokens, those that are good first, newest first. */
export function tokens(answer) {
  const all = Array.isArray(answer) ? answer : (answer?.tokens ?? []);
  return [...all].sort((a, b) => Number(Boolean(a.revokedAt)) - Number(Boolean(b.revokedAt)) || (a.createdAt < b.createdAt ? 1 : -1));
}

/** What is wrong with a token's name; null: nothing. */
export function nameFault(name, taken = []) {
  const text = (name ?? "").trim();
  if (!text) return "a token needs a name: whose is it, or what for?";
  if (!/^[A-Za-z0-9._@-]{1,64}$/.test(text)) return "a name is 1 to 64 letters, digits and - _ . @";
  if (taken.includes(text)) return "there is a token of this name";
  return null;
}

/** How a target of notifications is: a word and a tone. */
export function targetState(target) {
  if (target.failuresInARow > 0) return { tone: "bad", word: `failed ${target.failuresInARow}× in a row` };
  if (target.dropped > 0) return { tone: "warn", word: "lost some" };
  if (target.lastSuccess) return { tone: "good", word: "delivers" };
  return { tone: "off", word: "not used yet" };
}
