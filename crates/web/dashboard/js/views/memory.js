// Memory: how short it is, what will happen next, who uses it, and what was kept when it was short.
import { html, useState } from "../lib/html.js";
import { get } from "../lib/api.js";
import { bytes, count, dateTime, duration, percent, plural, words } from "../lib/format.js";
import { now } from "../lib/live.js";
import { useResource } from "../lib/resource.js";
import { go, href, useQuery } from "../lib/route.js";
import { oneLine, Text } from "../lib/text.js";
import { Chart } from "../ui/chart.js";
import { Empty } from "../ui/empty.js";
import { Facts, Page, Section } from "../ui/page.js";
import { Guard, Needs } from "../ui/problem.js";
import { Split } from "../ui/split.js";
import { Badge } from "../ui/status.js";
import { sortRows, Table } from "../ui/table.js";
import { Tile, Tiles } from "../ui/tiles.js";
import { Time } from "../ui/time.js";
import { cause, course, ladder, limits, parts } from "./memory.data.js";

export const title = "Memory";
export const styles = true;
export const stays = true;

const TONES = { normal: "good", warning: "warn", critical: "bad" };

export default function Memory({ id }) {
  const memory = useResource(({ signal }) => get("/memory", null, { signal }), [], { on: ["memory.*", "agent.disabled", "agent.enabled"], every: 5_000 });
  return html`<${Page} title="Memory" lead="How short it is, what happens at which threshold, and who uses it." wide=${Boolean(id)}>
    <${Split} label=${`Profile ${id}`} onClose=${() => go("memory")} panel=${id && html`<${Profile} key=${id} id=${id}/>`}
      list=${html`<${Guard} of=${memory}>${(data) => html`<${Shown} memory=${data}/>`}</><${Profiles} chosen=${id}/>`}/>
  </>`;
}

function Shown({ memory }) {
  const tone = TONES[memory.level];
  if (!memory.at) return html`<${Empty} title="Not looked yet" text=${memory.next}/>`;
  return html`<div class="stack">
    <${Tiles} label="Memory at a glance">
      <${Tile} label="In use" value=${percent(memory.percent, 1)} tone=${tone === "good" ? undefined : tone} detail=${cause(memory)}
        meter=${{ value: memory.percent, max: 100, marks: [{ at: memory.thresholds.warningPercent, tone: "warn", title: "warning" }, { at: memory.thresholds.criticalPercent, tone: "bad", title: "critical" }] }}/>
      <${Tile} label="Orchestrator and agents" value=${bytes(memory.usedBytes)} detail=${`of ${bytes(memory.budgetBytes)} (${budget(memory.budgetFrom)})`}/>
      <${Tile} label="Orchestrator" value=${bytes(memory.orchestrator.rssBytes)} detail=${`heap ${bytes(memory.orchestrator.heapAllocatedBytes)}`}/>
      <${Tile} label="Free on the host" value=${bytes(memory.host.availableBytes)} detail=${`of ${bytes(memory.host.totalBytes)}`}/>
      ${memory.pressure && html`<${Tile} label="Time lost to shortage" value=${percent(memory.pressure.someAvg60, 1)} detail=${`of the last minute, ${memory.pressure.of}`} tone=${memory.pressure.someAvg60 >= 10 ? "warn" : undefined}/>`}
    </>
    <div class="memory-two">
      <${Section} title="The ladder" note=${html`<${Badge} tone=${tone}>${words(memory.level)}</>`}><${Ladder} memory=${memory}/></>
      <${Section} title="The last two hours"><${Course} memory=${memory}/></>
    </div>
    ${memory.shed.length > 0 && html`<${Section} title="Disabled because of it" note=${`${plural(memory.shed.length, "agent")}, in the order in which they come back`}>
      <ol class="shed card">${memory.shed.map((one) => html`<li key=${one.name}><a class="link" href=${href("agents", one.name)}>${oneLine(one.name)}</a> <span class="quiet">priority ${one.priority}</span> <span><${Text} of=${one.reason} max=${300}/></span></li>`)}</ol></>`}
    <${Section} title="Who uses it" note=${`${plural(memory.agents.length, "agent")}; looked ${duration(Math.max(0, now.value - Date.parse(memory.at)))} ago`}><${Users} memory=${memory}/></>
    ${memory.unreadableProcesses > 0 && html`<p class="banner warn" role="note">${plural(memory.unreadableProcesses, "process", "processes")} could not be read at the last check; they count as they were before.</p>`}
  </div>`;
}

const budget = (from) => (from === "config" ? "as set" : from === "host" ? "the host’s memory" : `limit of ${from}`);

function Ladder({ memory }) {
  const share = Math.min(100, Math.max(0, memory.percent));
  return html`<div class="card ladder">
    <div class="ladder-scale" role="img" aria-label=${`${memory.percent} % in use; warning at ${memory.thresholds.warningPercent} %, critical at ${memory.thresholds.criticalPercent} %, recovered under ${memory.thresholds.recoverPercent} %`}>
      <i class=${`ladder-fill tone-mark-${TONES[memory.level]}`} style=${{ height: `${share}%` }}></i>
      ${ladder(memory).map((step) => html`<i key=${step.id} class=${`ladder-step tone-${step.tone}`} style=${{ bottom: `${step.at}%` }}></i>`)}
    </div>
    <ul class="ladder-steps">${ladder(memory).map((step) => html`<li key=${step.id} class=${step.on ? "on" : ""}>
      <b class="num tone-${step.tone}">${step.id === "recovered" ? "under " : ""}${step.at} %</b> <span><span class="hidden-text">${step.on ? "in effect: " : ""}</span>${words(step.id)}${step.on ? html` <${Badge} tone=${step.tone}>now</>` : ""}<br/><span class="quiet">${step.text}</span></span></li>`)}</ul>
    <p class="ladder-next"><b>Next:</b> <${Text} of=${memory.next} max=${300}/>. ${memory.nextCheck && html`<span class="quiet">It is looked again <${Time} at=${memory.nextCheck}/>.</span>`}</p>
  </div>`;
}

function Course({ memory }) {
  const history = useResource(({ signal }) => get("/memory/history", null, { signal }), [], { on: "memory.*", every: 15_000 });
  return html`<div class="card"><${Guard} of=${history}>${(data) => {
    const drawn = course(data);
    if (drawn.x.length < 2) return html`<${Empty} title="No history yet" text="A point comes with each check."/>`;
    // Thresholds far above what is used would press the line flat.
    const near = limits(memory).filter((limit) => limit.y <= 4 * Math.max(...drawn.values));
    return html`<${Chart} label="Memory of orchestrator and agents" height=${210} unit=${bytes} x=${drawn.x} marks=${drawn.marks} limits=${near}
        series=${[{ title: "orchestrator and agents", values: drawn.values, tone: "busy", fill: true }]}/>
      ${drawn.marks.length > 0 && html`<ul class="memory-marks">${[...drawn.marks].reverse().slice(0, 8).map((mark) => html`<li><span class="num quiet">${dateTime(mark.x * 1_000)}</span> <${Badge} tone=${mark.tone}>${mark.kind}</> <span class="cut" title=${oneLine(mark.text, 600)}>${oneLine(mark.text)}</span></li>`)}</ul>`}`;
  }}</></div>`;
}

const USERS = [
  { id: "name", title: "Agent", width: "minmax(150px, 2fr)", card: "title", value: (one) => one.name, cell: (one) => oneLine(one.name) },
  { id: "memory", title: "Memory", width: "110px", align: "end", fallingFirst: true, value: (one) => one.memoryBytes, cell: (one) => html`<b title=${one.memoryMeasured === "pss" ? "proportional share" : "resident"}>${bytes(one.memoryBytes)}</b>` },
  { id: "share", title: "Share", width: "minmax(90px, 160px)", hide: 900, cell: (one) => html`<progress class="share" max="1" value=${one.share} aria-label=${`${percent(100 * one.share)} of what is used`}></progress>` },
  { id: "peak", title: "At most", width: "100px", align: "end", fallingFirst: true, value: (one) => one.memoryPeakBytes, cell: (one) => bytes(one.memoryPeakBytes) },
  { id: "max", title: "Limit", width: "128px", align: "end", hide: 800, value: (one) => one.memoryMaxBytes,
    cell: (one) => (one.memoryMaxBytes ? html`<span class=${one.overMemoryMax ? "tone-bad" : ""} title=${one.overMemoryMax ? "over its memory_max: after a second such check it is ended" : "memory_max"}>${one.overMemoryMax ? "over " : ""}${bytes(one.memoryMaxBytes)}</span>` : html`<span class="quiet">none</span>`) },
  { id: "cpu", title: "CPU", width: "76px", align: "end", fallingFirst: true, value: (one) => one.cpuPercent, cell: (one) => percent(one.cpuPercent, 1) },
  { id: "processes", title: "Processes", width: "92px", align: "end", hide: 900, value: (one) => one.processes, cell: (one) => count(one.processes) },
  { id: "priority", title: "Priority", width: "80px", align: "end", hide: 800, value: (one) => one.priority, cell: (one) => one.priority },
];

function Users({ memory }) {
  const [sort, setSort] = useQuery("sort", "-memory");
  const rows = sortRows(memory.agents.map((one) => ({ ...one, share: memory.usedBytes > 0 ? one.memoryBytes / memory.usedBytes : 0 })), USERS, sort);
  return html`<${Table} label="Memory by agent" columns=${USERS} rows=${rows} rowKey=${(one) => one.name} href=${(one) => href("agents", one.name)} sort=${sort} onSort=${setSort}
    empty=${html`<${Empty} title="No agent runs" text="Who has no process uses no memory."/>`}/>`;
}

function Profiles({ chosen }) {
  return html`<${Section} title="Profiles" note="who used what when memory was short"><${Needs} role="viewer" what="profiles of memory"><${Kept} chosen=${chosen}/></></>`;
}

function Kept({ chosen }) {
  const profiles = useResource(({ signal }) => get("/memory/profiles", null, { signal }), [], { on: "memory.critical", every: 30_000 });
  return html`<${Guard} of=${profiles}>${({ profiles: all }) => (all.length === 0
    ? html`<${Empty} title="No profiles" text="One is kept each time memory gets critical, before anybody is disabled."/>`
    : html`<ul class="profiles card">${all.map((one) => html`<li key=${one.id} class=${one.id === chosen ? "current" : ""}><a href=${href("memory", one.id)}>${one.at ? dateTime(one.at) : oneLine(one.id)}</a>
      <span class="quiet"><${Time} at=${one.at}/></span> <span class="num quiet">${bytes(one.sizeBytes)}</span> ${one.heapProfile ? html`<${Badge}>with heap</>` : ""}</li>`)}</ul>`)}</>`;
}

function Profile({ id }) {
  const profile = useResource(({ signal }) => get(`/memory/profiles/${encodeURIComponent(id)}`, null, { signal }), [id]);
  const [all, setAll] = useState(false);
  return html`<${Guard} of=${profile}>${(data) => html`<div class="stack">
    <header><h2>Profile of ${dateTime(data.at)}</h2><p class="row"><${Badge} tone=${TONES[data.level]}>${words(data.level)}</>${data.usage && html`<span class="quiet">${percent(data.usage.percent)} ${data.usage.cause === "host" ? "of the host’s memory" : "of the budget"}, ${bytes(data.usage.usedBytes)} used</span>`}</p></header>
    <${Facts} of=${[["orchestrator", bytes(data.orchestrator?.rssBytes)], ["its heap", bytes(data.orchestrator?.heap?.allocated)], ["free on the host", data.host && `${bytes(data.host.availableBytes)} of ${bytes(data.host.totalBytes)}`],
      ["about to be disabled", data.shed?.length > 0 ? data.shed.join(", ") : "nobody"], ["heap profile", typeof data.heapProfile === "string" ? oneLine(data.heapProfile, 300) : null]]}/>
    <section class="stack-tight" aria-label="Agents"><h3>Agents, the largest first</h3><ol class="profile-agents">${data.agents.slice(0, all ? undefined : 30).map((one) => html`<li key=${one.name}>
      <span class="row"><a class="link" href=${href("agents", one.name)}>${oneLine(one.name)}</a><span class="quiet">priority ${one.priority}, ${plural(one.processes, "process", "processes")}</span><span class="grow"></span><b class="num">${bytes(one.bytes)}</b></span>
      ${parts(one.rollup).length > 0 && html`<span class="quiet">${parts(one.rollup).slice(0, 3).map(([name, size]) => `${name} ${bytes(size)}`).join(", ")}</span>`}</li>`)}</ol>
      ${data.agents.length > 30 && !all && html`<button type="button" class="button" onClick=${() => setAll(true)}>All ${data.agents.length}</button>`}</section>
  </div>`}</>`;
}
