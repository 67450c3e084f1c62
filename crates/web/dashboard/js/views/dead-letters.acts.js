// What can be done about dead letters; each asks first, tells what came of it, and resolves to whether it was done.
import { get, post } from "../lib/api.js";
import { count, plural } from "../lib/format.js";
import { agentList } from "../lib/live.js";
import { ask, confirm } from "../ui/confirm.js";
import { act, showProblem, toast } from "../ui/toast.js";
import { edited, inWords, many, pace, payload, possible, pretty } from "./dead-letters.data.js";
import { forEach, tell } from "./together.js";

const path = (letter, verb) => `/dead-letters/${letter.id}/${verb}`;

/** How many a filter means now, so that nobody confirms a number of a minute ago; null: it could not be told. */
async function total(verb, fields) {
  try {
    return (await post(`/dead-letters/${verb}`, many(fields, { dryRun: true }))).total;
  } catch (problem) {
    showProblem(problem, "Which dead letters are meant could not be told");
    return null;
  }
}

const names = (letters) => letters.map((letter) => `${letter.id}: ${letter.agentName}, ${letter.error}`);

async function replay(letter) {
  const force = possible(letter).force;
  if (force) {
    const text = letter.state === "parked"
      ? `Its payload killed its agent ${letter.kills} times. Replay it only if the agent was mended, or edit the payload first.`
      : "A replay of it succeeded already. What it does is done again.";
    if (!(await confirm({ title: `Replay dead letter ${letter.id} of ${letter.agentName} again?`, text, action: "Replay", danger: letter.state === "parked" }))) return false;
  }
  const run = () => post(path(letter, "replay"), { force }, { idempotent: true });
  return Boolean(await act(run, (answer) => answer.message, `Dead letter ${letter.id} was not replayed`));
}

async function edit(letter) {
  const before = payload(letter);
  const encoding = before?.encoding ?? "text";
  const text = before?.text ?? "";
  const values = await ask({
    title: `Edit the payload of dead letter ${letter.id}`,
    action: "Save and replay",
    fields: [
      { name: "payload", label: encoding === "base64" ? "Payload (base64: it is no text)" : "Payload", kind: "area",
        value: encoding === "text" ? (pretty(text) ?? text) : text,
        hint: before ? `What ${letter.agentName} gets on stdin.` : `It had none; ${letter.agentName} gets this on stdin.`,
        check: (value) => wrong(() => edited(value, encoding)) },
      { name: "replay", label: "Replay it at once", kind: "check", value: true },
    ],
  });
  if (!values) return false;
  const saved = await act(post(path(letter, "edit"), edited(values.payload, encoding)), values.replay ? null : `Dead letter ${letter.id} has another payload`,
    `The payload of dead letter ${letter.id} was not changed`);
  if (saved === undefined || !values.replay) return saved !== undefined;
  const run = () => post(path(letter, "replay"), { force: possible(letter).force }, { idempotent: true });
  await act(run, (answer) => answer.message, "The payload was changed, but it was not replayed");
  return true;
}

async function whenHealthy(letter) {
  const agent = await whose(`Replay dead letter ${letter.id} once an agent is healthy`, letter.agentName, "Wait and replay");
  if (!agent) return false;
  return Boolean(await act(post(path(letter, "replay"), { whenHealthy: agent }), (answer) => answer.message, "It does not wait"));
}

const stopWaiting = (letter) =>
  act(post(path(letter, "replay"), { stopWaiting: true }), (answer) => answer.message, "It still waits").then(Boolean);

async function discard(letter) {
  const sure = await confirm({
    title: `Discard dead letter ${letter.id} of ${letter.agentName}?`,
    text: "It is thrown away with its payload and log, and can’t be replayed any more.", items: [letter.error], action: "Discard", danger: true,
  });
  return sure && Boolean(await act(post(path(letter, "discard")), (answer) => answer.message, `Dead letter ${letter.id} was not discarded`));
}

async function replayTicked(letters) {
  const force = letters.some((letter) => possible(letter).force);
  const sure = await confirm({
    title: `Replay ${plural(letters.length, "dead letter")}?`, items: names(letters), action: `Replay ${letters.length}`,
    text: force ? "Some of them are parked or were replayed with success; those are replayed, too." : "One after the other, oldest first.",
  });
  if (!sure) return false;
  const oldest = [...letters].sort((a, b) => a.id - b.id);
  tell(await forEach(oldest, (letter) => post(path(letter, "replay"), { force: possible(letter).force }, { idempotent: true })), "dead letter", "replayed");
  return true;
}

async function discardTicked(letters) {
  const sure = await confirm({
    title: `Discard ${plural(letters.length, "dead letter")}?`, items: names(letters), action: `Discard ${letters.length}`, danger: true,
    text: "They are thrown away with their payloads and logs, and can’t be replayed any more.",
  });
  if (!sure) return false;
  tell(await forEach(letters, (letter) => post(path(letter, "discard"))), "dead letter", "discarded");
  return true;
}

async function replayAll(fields) {
  const number = await total("replay", fields);
  if (number === null) return false;
  if (number === 0) return nothing("can be replayed");
  const values = await ask({
    title: `Replay ${plural(number, "dead letter")} ${inWords(fields)}?`.replace(" ?", "?"),
    action: `Replay ${count(number)}`,
    fields: [
      { name: "rate", label: "Replays a second", kind: "number", value: "10", check: (value) => wrong(() => pace({ rate: value, stopAfter: 0 })), hint: "oldest first, as fast as this at most" },
      { name: "stopAfter", label: "Stop after so many failures", kind: "number", value: "3", check: (value) => wrong(() => pace({ rate: 1, stopAfter: value })), hint: "0 goes on to the end" },
      { name: "force", label: "Also those that are parked or were replayed with success", kind: "check", value: false },
    ],
  });
  if (!values) return false;
  const more = { ...pace(values), force: Boolean(values.force) };
  const run = () => post("/dead-letters/replay", many(fields, more), { idempotent: true });
  return Boolean(await act(run, (set) => `${plural(set.total, "dead letter")} are being replayed (set ${set.id})`, "They are not replayed"));
}

async function replayWhenHealthy(fields) {
  const number = await total("replay", fields);
  if (number === null) return false;
  if (number === 0) return nothing("can be replayed");
  const agent = await whose(`Replay ${plural(number, "dead letter")} ${inWords(fields)} once an agent is healthy`, fields.agent, `Let ${count(number)} wait`);
  if (!agent) return false;
  const told = (answer) => `${plural(answer.waiting, "dead letter")} wait for ${answer.whenHealthy}${answer.passedOver > 0 ? `, ${answer.passedOver} passed over` : ""}`;
  return Boolean(await act(post("/dead-letters/replay", many(fields, { whenHealthy: agent })), told, "They do not wait"));
}

async function discardAll(fields) {
  const number = await total("discard", fields);
  if (number === null) return false;
  if (number === 0) return nothing("can be discarded");
  const sure = await confirm({
    title: `Discard ${plural(number, "dead letter")} ${inWords(fields)}?`.replace(" ?", "?"), action: `Discard ${count(number)}`, danger: true,
    text: "They are thrown away with their payloads and logs, and can’t be replayed any more.",
  });
  if (!sure) return false;
  const told = (answer) => `${plural(answer.discarded, "dead letter")} discarded${answer.passedOver > 0 ? `, ${answer.passedOver} passed over` : ""}`;
  return Boolean(await act(post("/dead-letters/discard", many(fields)), told, "They were not discarded"));
}

function nothing(what) {
  toast(`None of them ${what} any more`, { tone: "warn" });
  return true;
}

async function whose(title, agent, action) {
  const all = agentList.value.map(({ name }) => [name, name]);
  const values = await ask({
    title, action,
    fields: [{ name: "agent", label: "Agent whose health is waited for", kind: "select", value: agent || all[0]?.[0], options: all, required: true,
      hint: "Its own, or that of what it could not reach. A service is healthy when it is ready, a job when its last execution succeeded." }],
  });
  return values?.agent ?? null;
}

function wrong(check) {
  try {
    check();
    return null;
  } catch (error) {
    return error.message;
  }
}

/** A letter whole; lists may leave the payload out. */
export const whole = (id, options) => get(`/dead-letters/${encodeURIComponent(id)}`, null, options);

export const actions = { replay, edit, whenHealthy, stopWaiting, discard, replayTicked, discardTicked, replayAll, replayWhenHealthy, discardAll };
