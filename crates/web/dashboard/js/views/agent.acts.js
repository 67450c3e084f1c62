// What one can do to agents, from the list and from the page of one: the same words, the same questions.
import { post } from "../lib/api.js";
import { plural } from "../lib/format.js";
import { refreshAfter } from "../lib/live.js";
import { ask, confirm } from "../ui/confirm.js";
import { act, toast } from "../ui/toast.js";

const path = (name, verb) => `/agents/${encodeURIComponent(name)}/${verb}`;

// Each: what it is called, whether it breaks something, and what it means in a sentence.
export const VERBS = {
  start: { title: "Start", done: "started", text: "They take part again; services start." },
  stop: { title: "Stop", done: "stopped", danger: true, text: "What runs is ended, and no trigger starts them until somebody does." },
  restart: { title: "Restart", done: "restarted", danger: true, text: "What runs is ended and started again." },
  enable: { title: "Enable", done: "enabled", text: "Breakers and disabled states are cleared." },
  disable: { title: "Disable", done: "disabled", danger: true, text: "They take part in nothing until they are enabled; what depends on them sees them as unhealthy." },
};

// Which verbs make sense of an agent now.
export function verbsOf(agent) {
  const off = agent.status.startsWith("disabled");
  const lives = ["running", "starting", "unhealthy", "backing_off", "queued", "idle", "error", "timeout"].includes(agent.status);
  return [
    agent.kind === "service" || agent.status === "stopped" || off ? (lives && agent.kind === "service" ? null : "start") : null,
    agent.status === "stopped" || off ? null : "stop",
    agent.kind === "service" ? "restart" : null,
    off ? "enable" : "disable",
  ].filter(Boolean);
}

// One agent: only what breaks something is asked about.
export async function command(agent, verb) {
  const { title, danger, text, done } = VERBS[verb];
  const name = agent.name;
  if (danger && !(await confirm({ title: `${title} ${name}?`, text: text.replace(/^They take/, "It takes").replace("starts them", "starts it").replace("they are", "it is").replace("on them sees them", "on it sees it"), action: title, danger: true }))) return undefined;
  return act(post(path(name, verb)), (answer) => answer?.message ?? `${name} is being ${done}`, `${name} was not ${done}`, { about: `${verb} ${name}` });
}

// Many agents: asked with their number, told with how many it worked for.
export async function commandAll(agents, verb) {
  const { title, danger, text, done } = VERBS[verb];
  const sure = await confirm({ title: `${title} ${plural(agents.length, "agent")}?`, text, items: agents.map((agent) => agent.name), action: `${title} ${agents.length}`, danger });
  if (!sure) return false;
  const failures = [];
  // A few at a time: the order stays, and the orchestrator has other guests.
  const queue = [...agents];
  const worker = async () => {
    for (let agent = queue.shift(); agent; agent = queue.shift()) {
      try {
        await post(path(agent.name, verb));
      } catch (problem) {
        failures.push(`${agent.name}: ${problem.detail || problem.message}`);
      }
    }
  };
  await Promise.all(Array.from({ length: 4 }, worker));
  const worked = agents.length - failures.length;
  if (worked > 0) toast(`${plural(worked, "agent")} ${done}`);
  if (failures.length > 0) {
    const more = failures.length > 3 ? ` · and ${failures.length - 3} more` : "";
    toast(`${plural(failures.length, "agent")} not ${done}`, { tone: "bad", detail: failures.slice(0, 3).join(" · ") + more });
  }
  refreshAfter();
  return true;
}

// Runs a job once, with a payload if one is given.
export async function runNow(agent) {
  const values = await ask({
    title: `Run ${agent.name}`, action: "Run",
    text: "One execution by hand. It waits for a worker like any other, and is not skipped because of its overlap rule.",
    fields: [
      { name: "payload", label: "Payload (goes to its standard input; may stay empty)", kind: "area", rows: 5, placeholder: '{ "customer": 42 }' },
      { name: "force", label: "Also if a dependency is unhealthy", kind: "check" },
    ],
  });
  if (!values) return undefined;
  const body = { force: values.force };
  if (values.payload !== "") body.payload = values.payload;
  return act(post(path(agent.name, "trigger"), body, { idempotent: true }), (answer) =>
    (answer.admission === "skipped" ? `${agent.name} was skipped: ${answer.message}` : `${agent.name} is queued as ${answer.runId.slice(0, 8)}`), `${agent.name} does not run`, { about: `run ${agent.name}` });
}

export async function runAll(agents) {
  const jobs = agents.filter((agent) => agent.kind === "job");
  if (jobs.length === 0) {
    toast("None of these is a job", { tone: "bad", detail: "services are started, jobs are run", stay: false });
    return false;
  }
  const sure = await confirm({ title: `Run ${plural(jobs.length, "job")} now?`, text: "One execution each, without payload.", items: jobs.map((agent) => agent.name), action: `Run ${jobs.length}` });
  if (!sure) return false;
  const results = await Promise.allSettled(jobs.map((agent) => post(path(agent.name, "trigger"), {}, { idempotent: true })));
  const failed = results.map((result, at) => (result.status === "rejected" ? `${jobs[at].name}: ${result.reason.detail || result.reason.message}` : null)).filter(Boolean);
  if (failed.length < jobs.length) toast(`${plural(jobs.length - failed.length, "job")} queued`);
  if (failed.length > 0) toast(`${plural(failed.length, "job")} not queued`, { tone: "bad", detail: failed.slice(0, 3).join(" · ") });
  refreshAfter();
  return true;
}

// The items of a menu for one agent.
export const menuOf = (agent) => [
  agent.kind === "job" ? { title: "Run now…", needs: "operator", run: () => runNow(agent) } : null,
  ...verbsOf(agent).map((verb) => ({ title: VERBS[verb].title, danger: VERBS[verb].danger && verb !== "restart", needs: "operator", run: () => command(agent, verb) })),
];
