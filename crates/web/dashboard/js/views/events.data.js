// What the events view shows: which facts fit, how loud they are, and how old and new ones become one list.
import { fitsTopic } from "../lib/topic.js";

/** Rows that are kept in the page: about an hour of a busy fleet. Older ones are a click away. */
export const KEPT = 2_000;

export const FAMILIES = ["agent", "execution", "dlq", "memory", "breaker", "boot", "config", "optimization", "bus", "store", "system", "triggers", "shutdown"];

export const ENDS = ["succeeded", "failed", "timed_out", "skipped", "refused", "cancelled", "interrupted", "lost"];

export const TRIGGERS = ["schedule", "every", "subject", "after", "startup", "manual", "replay"];

/** The filter as the API takes it. A family such as `agent` means all its topics. */
export function query({ type, agent, run } = {}) {
  const asked = {};
  const types = list(type).map(pattern);
  if (types.length > 0) asked.type = types.join(",");
  const agents = list(agent);
  if (agents.length > 0) asked.agent = agents.join(",");
  if (run?.trim()) asked.run = run.trim();
  return asked;
}

const list = (text) => (text ?? "").split(",").map((part) => part.trim()).filter(Boolean);

/** A family such as `agent` as the pattern of all its topics; everything else is a pattern already. */
const pattern = (one) => (FAMILIES.includes(one) ? `${one}.>` : one);

/** Whether a fact that just came fits the filter. */
export function fits(fact, { type, agent, run, text } = {}) {
  const types = list(type).map(pattern);
  const agents = list(agent);
  const data = fact.data ?? {};
  return (types.length === 0 || types.some((one) => fitsTopic(one, fact.type))) &&
    (agents.length === 0 || agents.includes(data.agent)) &&
    (!run?.trim() || data.run === run.trim()) && mentions(fact, text);
}

/** Whether a fact has this text in its message or topic. */
export function mentions(fact, text) {
  const wanted = (text ?? "").trim().toLowerCase();
  return !wanted || fact.message.toLowerCase().includes(wanted) || fact.type.includes(wanted);
}

/** Two lists of facts as one, newest first, each fact once, at most `most` of the newest. */
export function merge(facts, more, most = KEPT) {
  const all = new Map();
  for (const fact of facts) all.set(fact.seq, fact);
  for (const fact of more) all.set(fact.seq, fact);
  return [...all.values()].sort((a, b) => b.seq - a.seq).slice(0, most);
}

/** How a fact is to be seen: what went wrong stands out, the rest does not. */
export function tone(type) {
  if (/^(memory\.critical|config\.rejected|store\.(degraded|restarted)|system\.actor\.died)$/.test(type)) return "bad";
  if (/(\.failed|\.timed_out|\.lost|\.refused|dlq\.(added|parked)|breaker\.opened)$/.test(type)) return "bad";
  if (/(\.disabled|\.restarting|\.skipped|\.warning|\.unhealthy|\.dropped|\.low|\.slow|\.rejected|\.circle|\.too_long|\.stepped|\.missed|half_open|\.interrupted|\.cancelled)$/.test(type)) return "warn";
  if (/(\.succeeded|\.ready|\.recovered|breaker\.closed|boot\.completed)$/.test(type)) return "good";
  return "off";
}

/** Where a fact leads: to the execution, the dead letter or the agent that it is about. */
export function leadsTo(fact) {
  const data = fact.data ?? {};
  if (fact.type.startsWith("dlq.") && data.id && fact.type !== "dlq.discarded") return ["dead-letters", String(data.id)];
  if (data.run) return ["events", null, { tab: "executions", open: data.run }];
  if (data.agent) return ["agents", data.agent];
  if (fact.type.startsWith("memory.")) return ["memory"];
  if (fact.type.startsWith("config.")) return ["settings", "reload"];
  if (fact.type.startsWith("optimization.")) return ["reports"];
  return null;
}

/** The filter of the executions as the API takes it. */
export function pastQuery({ agent, state, trigger, text, since } = {}, now = Date.now()) {
  const spans = { "1h": 3_600_000, "24h": 86_400_000, "7d": 7 * 86_400_000 };
  const asked = {};
  if (agent?.trim()) asked.agent = agent.trim();
  if (state) asked.state = state;
  if (trigger) asked.trigger = trigger;
  if (text?.trim()) asked.text = text.trim();
  if (since) asked.since = spans[since] ? new Date(now - spans[since]).toISOString() : since;
  return asked;
}
