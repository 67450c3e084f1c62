// The overview: first what needs attention and why, then how the fleet is as a whole.
import { html, useLayoutEffect, useMemo, useRef, useState } from "../lib/html.js";
import { agentList, loaded, overview } from "../lib/live.js";
import { bytes, count, duration, ms, percent, plural, words } from "../lib/format.js";
import { href } from "../lib/route.js";
import { Text } from "../lib/text.js";
import { Button, Link } from "../ui/button.js";
import { Chart } from "../ui/chart.js";
import { Hint, LastWords } from "../ui/code.js";
import { Empty, Loading } from "../ui/empty.js";
import { Icon } from "../ui/icon.js";
import { Page, Section } from "../ui/page.js";
import { STATUSES, statusRank, statusTone } from "../ui/status.js";
import { Strip } from "../ui/strip.js";
import { useSight } from "../ui/table.js";
import { Tile, Tiles } from "../ui/tiles.js";
import { Time } from "../ui/time.js";

export const title = "Overview";
export const styles = true;

const SEVERITIES = { critical: ["bad", "Critical"], warning: ["warn", "Warning"], notice: ["busy", "Notice"] };
// More would push the rest off the screen; the button shows them all.
const FIRST = 6;

export default function Overview() {
  const data = overview.value;
  if (!data) return html`<${Page} title="Overview"><${Loading} what="Asking the orchestrator" /></${Page}>`;
  const { system } = data;
  const total = Object.values(system.statuses ?? {}).reduce((sum, number) => sum + number, 0);
  const lead = `${plural(total, "agent")}, ${words(system.phase)}${system.paused ? ", triggers paused" : ""}, up ${duration(system.uptimeSeconds * 1000)}`;
  return html`<${Page} title="Overview" lead=${lead}>
    <${Attention} items=${data.attention ?? []} total=${data.attentionTotal ?? data.attention?.length ?? 0} agents=${total} />
    <${Figures} data=${data} total=${total} />
    <${Throughput} points=${data.throughput ?? []} />
    <${Heartbeats} />
  </${Page}>`;
}

function Attention({ items, total, agents }) {
  const [all, setAll] = useState(false);
  const shown = all ? items : items.slice(0, FIRST);
  if (agents === 0 && items.length === 0) {
    return html`<${Empty} title="The registry is empty" text="Agents are programs named in a registry file. This folder has the form of one; after a change the registry is read anew by itself." command="werkpilot schema registry" />`;
  }
  if (items.length === 0) {
    return html`<section class="calm" aria-label="Needs attention"><${Icon} of="check" /><p><b>Nothing needs attention.</b> <span class="quiet">All agents are as they should be.</span></p></section>`;
  }
  return html`<${Section} title="Needs attention" note=${summary(items, total)}>
    <ol class="attention">${shown.map((item) => html`<${Item} key=${`${item.kind}/${item.agent ?? item.title}`} item=${item} />`)}</ol>
    ${items.length > FIRST ? html`<div><${Button} kind="quiet" onClick=${() => setAll(!all)}>${all ? "Show fewer" : `Show all ${items.length}`}</${Button}>
      ${total > items.length ? html`<span class="quiet">and ${count(total - items.length)} more that are not listed</span>` : null}</div>` : null}
  </${Section}>`;
}

function summary(items, total) {
  const counts = Object.entries(SEVERITIES).map(([severity, [, word]]) => [items.filter((item) => item.severity === severity).length, word.toLowerCase()]);
  if (total > items.length) return `${count(total)} in all`;
  return counts.filter(([number]) => number > 0).map(([number, word]) => (word === "critical" ? `${number} critical` : plural(number, word))).join(", ");
}

function Item({ item }) {
  const [tone, word] = SEVERITIES[item.severity] ?? SEVERITIES.notice;
  // Whom title and reason name already is not named again.
  const named = (item.affected ?? []).filter((name) => name !== item.agent && !item.reason.includes(name));
  const others = named.length === 0 ? 0 : Math.max(named.length, item.affectedTotal ?? 0);
  const link = item.link?.startsWith("#/") ? item.link : null;
  return html`<li class=${`attention-item tone-edge-${tone}`}>
    <span class=${`severity tone-${tone}`}>${word}</span>
    <div class="attention-text"><p class="attention-title">${link ? html`<a href=${link}><${Text} of=${item.title} max=${200} /></a>` : html`<${Text} of=${item.title} max=${200} />`}
        ${item.since ? html`<span class="quiet">${" "}<${Time} at=${item.since} /></span>` : null}</p>
      <p><${Text} of=${item.reason} max=${400} /></p>
      <${LastWords} of=${item.lastWords} />
      ${others > 0 ? html`<p class="quiet">Affects ${named.slice(0, 5).map((name, at) => html`${at > 0 ? ", " : ""}<a class="link" href=${href("agents", name)}>${name}</a>`)}${others > 5 ? ` and ${others - 5} more` : ""}.</p>` : null}
      ${item.hint ? html`<p class="attention-hint"><${Icon} of="right" size=${14} /><span><${Hint} of=${item.hint} /></span></p>` : null}</div>
    ${link ? html`<${Link} kind="small" href=${link}>${item.agent ? "Open" : "Show"}</${Link}>` : null}
  </li>`;
}

function Figures({ data, total }) {
  const { system, queue = {}, memory = {}, breaker = {}, deadLetters = {} } = data;
  const used = breaker.restarts ?? system.restartsLastHour;
  const most = breaker.maxRestarts ?? 0;
  const share = memory.percent ?? system.memory?.heapPercent ?? 0;
  const [warning, critical] = [memory.warningPercent ?? 80, memory.criticalPercent ?? 90];
  const waiting = queue.waiting ?? system.executionQueueSize;
  const capacity = queue.capacity ?? system.queueCapacity;
  const letters = deadLetters.total ?? system.deadLetterQueueSize;
  return html`<${Tiles} label="Figures">
    <${Tile} label="Agents" value=${count(total)} href=${href("agents")}><${Statuses} of=${system.statuses} total=${total} /></${Tile}>
    <${Tile} label="Queue" value=${count(waiting)} unit=${`of ${count(capacity)}`} href=${href("queue")} tone=${waiting >= capacity ? "bad" : ""}
      meter=${{ value: waiting, max: capacity, marks: [{ at: capacity * 0.8, tone: "warn" }, { at: capacity, tone: "bad" }] }}
      detail=${`${queue.workersBusy ?? system.workersBusy} of ${queue.workers ?? system.workers} workers busy${queue.oldestWaitingMs ? `; the oldest waits ${ms(queue.oldestWaitingMs)}` : ""}`} />
    <${Tile} label="Dead letters" value=${count(letters)} tone=${letters > 0 ? "bad" : ""} href=${href("dead-letters")}
      detail=${letters === 0 ? "nothing failed for good" : html`${deadLetters.groups ? `${plural(deadLetters.groups, "cause")}, ` : ""}the newest <${Time} at=${deadLetters.newest?.time ?? deadLetters.newest} />`} />
    <${Tile} label="Automatic restarts" value=${count(used)} unit=${most > 0 ? `of ${count(most)}` : ""} href=${href("agents", null, { sort: "-restarts" })}
      tone=${breaker.state === "open" || (most > 0 && used >= most) ? "bad" : ""}
      meter=${most > 0 ? { value: used, max: most, marks: [{ at: most * 0.8, tone: "warn" }, { at: most, tone: "bad" }] } : null}
      detail=${most > 0 ? `in ${duration(breaker.windowMs ?? breaker.window_ms ?? 3_600_000)}; above that, restarts wait` : "in the last hour; no limit is set"} />
    <${Tile} label="Memory" value=${percent(share)} href=${href("memory")} tone=${share >= critical ? "bad" : share >= warning ? "warn" : ""}
      meter=${{ value: share, max: 100, marks: [{ at: warning, tone: "warn", title: `warning at ${warning} %` }, { at: critical, tone: "bad", title: `critical at ${critical} %` }] }}
      detail=${memory.budgetBytes ? `${bytes(memory.usedBytes)} of ${bytes(memory.budgetBytes)}; warning at ${warning} %` : `warning at ${warning} %, critical at ${critical} %`} />
  </${Tiles}>`;
}

// Agents by status as one bar, the worst first, and the same in words.
function Statuses({ of, total }) {
  const present = STATUSES.filter((status) => of?.[status] > 0);
  let at = 0;
  return html`<svg class="meter" aria-hidden="true" viewBox="0 0 100 6" preserveAspectRatio="none">${present.map((status) => {
    const width = (of[status] / Math.max(1, total)) * 100;
    const bar = html`<rect class=${`tone-mark-${statusTone(status)}`} x=${at} width=${Math.max(0, width - 0.6)} height="6" />`;
    at += width;
    return bar;
  })}</svg><span class="tile-detail quiet">${present.map((status, index) => html`${index > 0 ? ", " : ""}<span class=${statusTone(status) === "bad" ? "tone-bad" : ""}>${of[status]} ${words(status)}</span>`)}</span>`;
}

function Throughput({ points }) {
  const { x, series, sum } = useMemo(() => {
    const of = (key) => points.map((point) => point[key] ?? 0);
    return {
      x: points.map((point) => (typeof point.at === "number" ? point.at : Date.parse(point.at)) / 1000),
      series: [
        { title: "succeeded", values: of("succeeded"), tone: "good" },
        { title: "failed", values: of("failed"), tone: "bad" },
        { title: "other ends", values: of("other"), tone: "off" },
      ],
      sum: points.reduce((all, point) => all + point.succeeded + point.failed + point.other, 0),
    };
  }, [points]);
  return html`<${Section} title="Executions per minute" note=${`${count(sum)} in the last hour`}>
    <div class="card">${sum === 0 ? html`<${Empty} title="No execution has ended in the last hour" text="Jobs that end appear here by the minute." />`
      : html`<${Chart} label="Executions per minute by how they ended" height=${150} x=${x} series=${series} stacked bars />`}</div>
  </${Section}>`;
}

const CELL = 268;
const CELL_HEIGHT = 34;

// Every agent with its last ends: the restless ones are seen at a glance.
function Heartbeats() {
  const list = agentList.value;
  const box = useRef(null);
  const [columns, setColumns] = useState(1);
  const sorted = useMemo(() => [...list].sort((a, b) => statusRank(a.status) - statusRank(b.status) || (a.name < b.name ? -1 : 1)), [list]);
  const rows = Math.ceil(sorted.length / columns);
  const sight = useSight(box, rows, CELL_HEIGHT);
  useLayoutEffect(() => { if (sight.width > 0) setColumns(Math.max(1, Math.floor(sight.width / CELL))); }, [sight.width]);
  const shown = sorted.slice(sight.from * columns, sight.to * columns);
  return html`<${Section} title="Heartbeats" note="the last 20 ends of each agent, the newest at the right">
    ${list.length === 0 && loaded.value ? html`<p class="quiet">No agents.</p>` : null}
    <ul class="beats" ref=${box} style=${{ height: `${rows * CELL_HEIGHT}px` }}>${shown.map((agent, index) => {
      const at = sight.from * columns + index;
      return html`<li key=${agent.name} style=${{ top: `${Math.floor(at / columns) * CELL_HEIGHT}px`, left: `${((at % columns) / columns) * 100}%`, width: `${100 / columns}%` }}>
        <a href=${href("agents", agent.name)} title=${agent.reason ? `${words(agent.status)}: ${agent.reason}` : words(agent.status)}><span class="beat-name cut"><${Beat} of=${agent.status} />${agent.name}</span><${Strip} of=${agent.recent} /></a></li>`;
    })}</ul>
  </${Section}>`;
}

const Beat = ({ of }) => html`<span class=${`status only tone-${statusTone(of)} mark-${of}`}><i></i><span class="hidden-text">${words(of)}</span></span>`;
