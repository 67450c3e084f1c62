import assert from "node:assert/strict";
import { test } from "node:test";

import { fault, nameFault, plan, planInWords, sections, source, targetState, tokens } from "../../../crates/web/dashboard/js/views/settings.data.js";
import { appliedAs, demand, decisions, proposal, tooLittle } from "../../../crates/web/dashboard/js/views/reports.data.js";
import { course, ladder, limits, toneOfMark } from "../../../crates/web/dashboard/js/views/memory.data.js";

const report = [
  { key: "queue.workers", value: 3, origin: { from: "file", path: "werkpilot.toml", line: 6 }, effect: "Executions at a time." },
  { key: "queue.ageing", value: "5m", origin: { from: "default" } },
  { key: "state.dir", value: "/s", origin: { from: "environment", variable: "WERKPILOT_STATE_DIR" } },
];

test("every setting says where its value comes from", () => {
  assert.deepEqual(report.map(({ origin }) => source(origin)), ["werkpilot.toml:6", "default", "$WERKPILOT_STATE_DIR"]);
  assert.deepEqual(sections(report).map(({ name, rows }) => [name, rows.length]), [["queue", 2], ["state", 1]]);
  assert.deepEqual(sections(report, { set: true }).flatMap(({ rows }) => rows.map(({ key }) => key)), ["queue.workers", "state.dir"]);
  assert.deepEqual(sections({ settings: report }, { text: "AT A TIME" })[0].rows[0].text, "3");
});

test("what a reload would change is counted", () => {
  const preview = { valid: true, faults: [], added: ["a"], removed: [], changed: [{ agent: "b", keys: [{ key: "schedule", before: "x", after: "y" }] }],
    settings: [{ key: "queue.workers", before: 3, after: 4, effect: "at once" }] };
  const found = plan(preview);
  assert.ok(found.valid);
  assert.equal(planInWords(found), "1 agent added, 1 agent changed, 1 setting changed");
  assert.equal(planInWords(plan({})), "nothing");
  assert.ok(!plan({ valid: false, faults: ["bad"] }).valid);
});

test("a fault has a place, a text and a hint", () => {
  assert.deepEqual(fault({ file: "a.toml", line: 3, column: 7, message: "unknown key", hint: "did you mean command?" }),
    { place: "a.toml:3:7", text: "unknown key", hint: "did you mean command?", subject: null });
  assert.equal(fault("plain").text, "plain");
  assert.equal(plan({ settings: [{ key: "a.b", before: 1, after: 2, applies: "after_restart" }] }).rows[0].late, true);
});

test("tokens that are good come first, and a name is needed", () => {
  const list = tokens({ tokens: [{ id: 1, createdAt: "1", revokedAt: "2" }, { id: 2, createdAt: "2" }, { id: 3, createdAt: "3" }] });
  assert.deepEqual(list.map(({ id }) => id), [3, 2, 1]);
  assert.match(nameFault(" "), /needs a name/);
  assert.match(nameFault("no spaces"), /letters, digits/);
  assert.match(nameFault("ci", ["ci"]), /there is a token/);
  assert.equal(nameFault("ci"), null);
});

test("a target that fails is told before one that lost something", () => {
  assert.deepEqual([{ failuresInARow: 2, dropped: 1 }, { failuresInARow: 0, dropped: 1 }, { dropped: 0, lastSuccess: "x" }, { dropped: 0 }].map((target) => targetState(target).tone),
    ["bad", "warn", "good", "off"]);
});

test("proposals read as the CLI words them", () => {
  assert.equal(proposal({ kind: "priority", agent: "a", from: 3, to: 2 }), "a: priority 2 instead of 3");
  assert.equal(proposal({ kind: "timeout", agent: "a", fromMs: null, toMs: 90_000 }), "a: timeout \"1.5 min\"; it has none");
  assert.equal(proposal({ kind: "jitter", agents: ["a", "b"], more: 2, jitterMs: 5_000 }), "a, b and 2 more: jitter \"5 s\"");
  assert.equal(tooLittle({ rule: "workers", needs: "200 starts", agents: [], more: 0 }), "workers: it takes 200 starts");
  assert.equal(appliedAs({ applied: [{ proposal: 2, decision: 9 }] }, 2), 9);
  assert.equal(demand({ workers: 3, starts: 0 }), null);
  assert.deepEqual(decisions([{ id: 2, state: "undone" }, { id: 1, state: "standing" }]).map(({ id }) => id), [1, 2]);
});

test("the ladder says what is in effect", () => {
  const memory = { level: "warning", percent: 82, cause: "budget", budgetBytes: 1_000, thresholds: { warningPercent: 80, criticalPercent: 90, recoverPercent: 75 } };
  assert.deepEqual(ladder(memory).map(({ id, on }) => [id, on]), [["critical", false], ["warning", true], ["recovered", false]]);
  assert.deepEqual(limits(memory).map(({ y }) => y), [900, 800, 750]);
  assert.deepEqual(limits({ ...memory, cause: "host" }), []);
});

test("events are marked where they were, and only within the picture", () => {
  const history = { step_ms: 60_000, points: [[60_000, 5], [120_000, 6]], marks: [{ time: 90_000, kind: "memory.warning", text: "82 %" }, { time: 9_000_000, kind: "x", text: "" }] };
  const drawn = course(history);
  assert.deepEqual([drawn.x, drawn.values], [[60, 120], [5, 6]]);
  assert.deepEqual(drawn.marks, [{ x: 90, text: "82 %", tone: "warn", kind: "memory.warning" }]);
  assert.equal(toneOfMark("memory.recovered"), "good");
  assert.deepEqual(course(undefined).x, []);
});
