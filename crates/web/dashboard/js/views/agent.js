// One agent: how it is and why, what it did, what it wrote, how it is set up, and what one can do about it.
import { html } from "../lib/html.js";
import { get } from "../lib/api.js";
import { agents } from "../lib/live.js";
import { bytes, count, ms, percent, score, words } from "../lib/format.js";
import { href, useQuery } from "../lib/route.js";
import { useResource } from "../lib/resource.js";
import { useKeys } from "../lib/keys.js";
import { Text } from "../lib/text.js";
import { Button } from "../ui/button.js";
import { Empty } from "../ui/empty.js";
import { Logs } from "../ui/logs.js";
import { Facts, Page, Panel, Tabs } from "../ui/page.js";
import { useCommands } from "../ui/palette.js";
import { Guard, Needs } from "../ui/problem.js";
import { Status } from "../ui/status.js";
import { Strip } from "../ui/strip.js";
import { Time } from "../ui/time.js";
import { VERBS, command, menuOf, runNow, verbsOf } from "./agent.acts.js";
import { Now } from "./agent.now.js";
import { Runs } from "./agent.runs.js";
import { Config } from "./agent.config.js";
import { Health } from "./agent.health.js";

export const title = (id) => id ?? "Agent";
export const styles = true;

// Facts that change what the page of an agent shows.
export const OF_AGENT = ["agent.>", "execution.>", "dlq.*", "breaker.*", "config.reloaded"];

const TABS = [["now", "Now"], ["runs", "Runs"], ["logs", "Logs"], ["health", "Health"], ["config", "Config"]];

export default function Agent({ id }) {
  const [tab, setTab] = useQuery("tab", "now");
  const detail = useResource(({ signal }) => get(`/agents/${encodeURIComponent(id)}`, {}, { signal }), [id], { on: OF_AGENT, every: 5000 });
  // The row of the list is fresher than what was loaded; a removed agent has none.
  const row = agents.value.get(id);
  useKeys(TABS.map(([name, title], at) => [String(at + 1), title, () => setTab(name)]), { group: "Agent" });
  useCommands(() => (row ? menuOf(row).filter(Boolean).map((item) => ({ title: `${item.title} ${item.title === "Run now…" ? `(${id})` : id}`, needs: item.needs, run: item.run })) : []));
  if (detail.problem?.status === 404) {
    return html`<${Page} title=${id}><${Empty} title="There is no such agent" text=${detail.problem.detail || "It is not in the registry, or was removed from it."} action=${html`<a class="link" href=${href("agents")}>All agents</a>`} /></${Page}>`;
  }
  return html`<${Guard} of=${detail}>${(data) => {
    const agent = row ? { ...data, ...row } : data;
    return html`<${Page} title=${html`<${Title} agent=${agent} />`} lead=${agent.description ? html`<${Text} of=${agent.description} max=${400} />` : null} actions=${html`<${Actions} agent=${agent} />`}>
      <${Figures} agent=${agent} />
      <${Tabs} label="About this agent" of=${TABS} value=${tab} onPick=${setTab} />
      <${Panel} id=${tab}>
        ${tab === "now" ? html`<${Now} agent=${agent} />` : null}
        ${tab === "runs" ? html`<${Needs} role="viewer" what="The history of an agent"><${Runs} agent=${agent} /></${Needs}>` : null}
        ${tab === "logs" ? html`<${Needs} role="viewer" what="What an agent writes"><${Logs} agent=${id} height=${Math.max(320, innerHeight - 360)} /></${Needs}>` : null}
        ${tab === "health" ? html`<${Health} agent=${agent} />` : null}
        ${tab === "config" ? html`<${Needs} role="viewer" what="How an agent is set up"><${Config} agent=${agent} /></${Needs}>` : null}
      </${Panel}>
    </${Page}>`;
  }}</${Guard}>`;
}

const Title = ({ agent }) => html`<span class="agent-title"><${Text} of=${agent.name} /> <span class="agent-status"><${Status} of=${agent.status} /></span></span>`;

function Actions({ agent }) {
  return html`${agent.kind === "job" ? html`<${Button} kind="primary" needs="operator" icon="play" onClick=${() => runNow(agent)}>Run now</${Button}>` : null}
    ${verbsOf(agent).map((verb) => html`<${Button} key=${verb} needs="operator" kind=${VERBS[verb].danger && verb !== "restart" ? "danger" : ""} onClick=${() => command(agent, verb)}>${VERBS[verb].title}</${Button}>`)}`;
}

function Figures({ agent }) {
  const instances = agent.instances?.length ?? 0;
  return html`<div class="card"><${Facts} of=${[
    ["Department", html`<a class="link" href=${href("agents", null, { department: agent.department })}><${Text} of=${agent.department} max=${60} /></a>`],
    ["Kind", `${agent.kind}${instances > 1 ? `, ${instances} instances` : ""}`],
    ["Priority", `${agent.priority}${{ 1: " critical", 2: " important", 3: " normal" }[agent.priority] ?? ""}`, agent.priorityFrom ? "as the optimizer decided" : null],
    ["Trigger", agent.schedule ? html`<code><${Text} of=${agent.schedule} /></code>` : null],
    ["Next run", agent.nextRun ? html`<${Time} at=${agent.nextRun} />` : null],
    ["Running", agent.uptimeSeconds !== null && agent.uptimeSeconds !== undefined ? html`for <${Up} seconds=${agent.uptimeSeconds} />${agent.pids?.length ? html` <span class="quiet">pid ${agent.pids.slice(0, 3).join(", ")}</span>` : null}` : null],
    ["Last result", agent.lastRun ? html`${words(agent.lastRun.end)} <span class="quiet"><${Time} at=${agent.lastRun.at} /></span>` : null, agent.lastRun?.reason],
    ["p50 / p95 / p99", agent.p50 !== null && agent.p50 !== undefined ? `${ms(agent.p50)} / ${ms(agent.p95)} / ${ms(agent.p99)}` : null],
    ["Memory", agent.rssBytes ? html`${bytes(agent.rssBytes)}${agent.memoryPeakBytes ? html` <span class="quiet">peak ${bytes(agent.memoryPeakBytes)}</span>` : null}` : null, "resident, the whole process tree"],
    ["CPU", agent.cpuPercent !== null && agent.cpuPercent !== undefined ? percent(agent.cpuPercent, 1) : null, "of one core"],
    ["Restarts and retries", count(agent.restarts)],
    ["Score", agent.score !== null && agent.score !== undefined ? html`${score(agent.score)} <span class="quiet">of 100</span>` : null, parts(agent.scoreParts)],
    ["Last 20", agent.recent ? html`<${Strip} of=${agent.recent} />` : null],
  ]} /></div>`;
}

function parts(of) {
  if (!of) return null;
  return Object.entries(of).filter(([, value]) => value !== null).map(([name, value]) => `${words(name.replace(/([A-Z])/g, "_$1").toLowerCase())} ${Math.round(value * 100)} %`).join(", ");
}

function Up({ seconds }) {
  const units = [[86_400, "d"], [3600, "h"], [60, "m"], [1, "s"]];
  const [size, unit] = units.find(([size]) => seconds >= size) ?? [1, "s"];
  return `${Math.floor(seconds / size)}${unit}`;
}
