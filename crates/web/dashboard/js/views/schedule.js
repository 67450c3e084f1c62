// The schedule: who is due in the next 24 hours, where too much is due at once, and what a simulation foresees.
import { html, useLayoutEffect, useMemo, useState } from "../lib/html.js";
import { get, post } from "../lib/api.js";
import { clock, count, dateTime, duration, plural, relative } from "../lib/format.js";
import { agents, now, overview } from "../lib/live.js";
import { useResource } from "../lib/resource.js";
import { href, useQuery } from "../lib/route.js";
import { oneLine } from "../lib/text.js";
import { Button } from "../ui/button.js";
import { Empty } from "../ui/empty.js";
import { Choice, Filter, Filters } from "../ui/filter.js";
import { Page, Section, Tabs } from "../ui/page.js";
import { Guard, Needs } from "../ui/problem.js";
import { Status } from "../ui/status.js";
import { Table } from "../ui/table.js";
import { Time } from "../ui/time.js";
import { useWidth } from "../ui/timeline.js";
import { act } from "../ui/toast.js";
import { collisions, crowd, goingOn, hours, marks, often, search, timeline } from "./schedule.data.js";
import WhatIf from "./what-if.js";

export const title = "Schedule";
export const styles = true;

/** Times that are asked for, and of one agent: what runs every second is a band, not a list. */
const RUNS = 10_000;
const OF_EACH = 400;
/** Bars of the crowd above the lines: a quarter of an hour each, of a day. */
const BARS = 96;
const SHOWN_COLLISIONS = 50;
/** Marks nearer than so many pixels cannot be told apart: they are one band. */
const APART = 5;
/** A line is as wide as this before it was measured, and a letter in it. */
const WIDTH = 600;
const LETTER = 6.5;
/** A time of the axis. */
const LABEL = 42;

export default function Schedule() {
  const [tab, setTab] = useQuery("tab", "timeline");
  return html`<${Page} title="Schedule" lead="What is due, when too much is due at once, and what would happen if." wide>
    <${Tabs} label="Schedule" value=${tab} onPick=${setTab}
      of=${[["timeline", "Timeline"], ["list", "Next runs"], ["what-if", "What if"]]}/>
    ${tab === "what-if"
      ? html`<${Needs} role="viewer" what="simulations"><${WhatIf}/></>`
      : html`<${Due} as=${tab}/>`}
  </>`;
}

function Due({ as }) {
  const [span, setSpan] = useQuery("hours");
  const long = Number(span) > 0 ? Number(span) : 24;
  const due = useResource(async ({ signal }) => {
    const from = Date.now();
    const answer = await get("/schedule", { hours: long, limit: RUNS, perAgent: OF_EACH }, { signal });
    return { ...answer, from };
  }, [long], { on: ["config.reloaded", "triggers.*", "agent.disabled", "agent.enabled"], every: 30_000 });
  return html`<${Guard} of=${due}>${(data) => html`<${Shown} as=${as} data=${data} long=${long} span=${span} setSpan=${setSpan}/>`}</>`;
}

function Shown({ as, data, long, span, setSpan }) {
  const [text, setText] = useQuery("q");
  const workers = overview.value?.queue?.workers ?? overview.value?.system?.workers ?? Infinity;
  const length = long * 3_600_000;
  const known = agents.value;
  const all = useMemo(() => timeline(data.runs, known), [data, known.size]);
  const rows = useMemo(() => search(all, text), [all, text]);
  const crowded = useMemo(() => collisions(data.runs, workers), [data, workers]);
  // The list goes on past what is told: what is not there was not asked for.
  const end = data.runs.length >= RUNS ? Date.parse(data.runs.at(-1).at) : null;
  const filters = html`<${Filters}>
    <${Filter} value=${text} onInput=${setText} label="Filter by agent, department or schedule" placeholder="Agent, department, schedule"/>
    <${Choice} label="Ahead" value=${span} onPick=${setSpan} options=${[["", "the next 24 hours"], ["1", "the next hour"], ["6", "the next 6 hours"], ["168", "the next 7 days"]]}/>
  </>`;
  if (data.runs.length === 0) {
    return html`<div class="stack">${filters}<${Empty} title=${`Nothing is due within ${duration(length)}`}
      text="Jobs with a schedule or an interval appear here. A paused or disabled one does not."
      command="werkpilot next --hours 24"/></div>`;
  }
  return html`<div class="stack">
    ${filters}
    ${end !== null && html`<p class="banner" role="note">Shown up to ${dateTime(end)}: so much is due before that. “What if” counts all of it.</p>`}
    ${as === "list"
      ? html`<${Runs} runs=${data.runs} text=${text}/>`
      : html`<${Lines} rows=${rows} whole=${all} data=${data} length=${length} crowded=${crowded}/>`}
    ${as !== "list" && html`<${Collisions} of=${crowded} workers=${workers} length=${length} again=${data.leftOut ?? []}/>`}
  </div>`;
}

const runNow = (agent) => act(() => post(`/agents/${encodeURIComponent(agent)}/trigger`, {}, { idempotent: true }), `${agent} is queued`, `${agent} was not run`, { about: `run ${agent}` });

function Lines({ rows, whole, data, length, crowded }) {
  const all = whole.length;
  const { from } = data;
  const [width, setWidth] = useState(WIDTH);
  const open = new Set(data.leftOut ?? []);
  const bars = useMemo(() => crowd(whole, from, length, BARS, crowded, open), [whole, length, crowded]);
  const most = Math.max(1, ...bars.map((bar) => bar.due));
  // A label at the very end would be cut off.
  const ticks = hours(from, length, 8).filter((time) => time < from + (1 - LABEL / width) * length);
  const at = (time) => `${((time - from) / length) * 100}%`;
  const columns = [
    { id: "name", title: "Agent", width: "minmax(150px, 220px)", card: "title", value: (row) => row.name, cell: (row) => oneLine(row.name) },
    { id: "status", title: "Status", width: "160px", hide: 1100, card: "status", value: (row) => row.status ?? "",
      cell: (row) => { const status = agents.value.get(row.name)?.status; return status ? html`<${Status} of=${status}/>` : ""; } },
    { id: "schedule", title: "Schedule", width: "minmax(96px, 140px)", hide: 1000, card: "keep", value: (row) => row.schedule ?? row.trigger,
      cell: (row) => html`<span class="mono cut">${oneLine(row.schedule ?? row.trigger)}</span>` },
    { id: "next", title: "Next", width: "96px", align: "end", value: (row) => row.times[0],
      cell: (row) => { const next = row.times.find((time) => time >= now.value) ?? row.times.at(-1); return html`<span title=${dateTime(next)}>${relative(next, now.value)}</span>`; } },
    { id: "line", title: "When", card: false, head: html`<span class="hidden-text">When, over ${duration(length)}</span><${Axis} ticks=${ticks} at=${at} length=${length} onWidth=${setWidth}/>`, width: "minmax(240px, 1fr)",
      cell: (row) => html`<${Line} row=${row} from=${from} length=${length} width=${width} goesOn=${open.has(row.name)}/>` },
    { id: "actions", title: "Actions", hiddenTitle: true, width: "92px", align: "end",
      cell: (row) => html`<${Button} kind="quiet" needs="operator" title=${`Run ${row.name} now`} onClick=${() => runNow(row.name)}>Run now</>` },
  ];
  return html`<div class="stack-tight">
    <figure class="card crowd">
      <figcaption class="row"><h2>Due at a time</h2><span class="quiet">per ${duration(length / BARS)}, at most ${count(most)}${
        crowded.length > 0 ? html`; <span class="tone-warn">▲ more than there are workers in a second</span>` : ""}</span></figcaption>
      <div class="crowd-bars" role="img" aria-label=${`How many executions are due over ${duration(length)}: at most ${most} in ${duration(length / BARS)}; ${plural(crowded.length, "second")} with more than there are workers`}>
        ${bars.map((bar) => html`<i class=${bar.crowded ? "crowded" : ""} style=${{ height: `${(bar.due / most) * 100}%` }}
          title=${`${dateTime(bar.at)}: ${bar.due} due${bar.crowded ? ", more than there are workers" : ""}`}></i>`)}
      </div>
    </figure>
    <p class="quiet">${rows.length === all ? plural(all, "agent") : `${rows.length} of ${plural(all, "agent")}`} due within ${duration(length)}</p>
    <${Table} label="When agents are due" columns=${columns} rows=${rows} rowKey=${(row) => row.name} href=${(row) => href("agents", row.name)}
      empty=${html`<${Empty} title="No agent that is due fits the filter" text="Another word, or a longer time ahead."/>`}/>
  </div>`;
}

function Axis({ ticks, at, length, onWidth }) {
  const [box, width] = useWidth();
  useLayoutEffect(() => { if (width > 0) onWidth(width); }, [width]);
  return html`<span class="axis" aria-hidden="true" ref=${box}>${ticks.map((time) => html`<span style=${{ insetInlineStart: at(time) }}>${
    length > 2 * 86_400_000 ? dateTime(time).slice(5, 10) : clock(time).slice(0, 5)}</span>`)}</span>`;
}

function Line({ row, from, length, width, goesOn }) {
  const told = marks(row.times, from, length, APART / width);
  const drawn = goesOn ? goingOn(told) : told;
  const place = ({ from: begin, to }) => ({ insetInlineStart: `${begin * 100}%`, width: `max(3px, ${(to - begin) * 100}%)` });
  const time = (share) => clock(from + share * length);
  const first = row.times.slice(0, 3).map((one) => clock(one)).join(", ");
  const more = row.times.length > 3 ? ` and ${goesOn ? "many" : count(row.times.length - 3)} more` : "";
  const bands = drawn.map((mark) => often(mark, length));
  const [whole] = drawn.length === 1 ? bands : [];
  return html`<span class="due-line" role="img" aria-label=${whole ? `due ${whole}, ${count(drawn[0].count)} times from ${time(drawn[0].from)} on` : `due at ${first}${more}`}>
    ${drawn.map((mark, at) => html`<i class=${bands[at] ? "band" : ""} style=${place(mark)}
      title=${mark.count === 1 ? dateTime(from + mark.from * length) : `${bands[at] ? `${bands[at]}, ` : ""}${count(mark.count)} times from ${time(mark.from)}${mark.to < 1 ? ` to ${time(mark.to)}` : " on"}`}>${
      bands[at] && (mark.to - mark.from) * width > LETTER * bands[at].length + 12 ? bands[at] : ""}</i>`)}
  </span>`;
}

function Runs({ runs, text }) {
  const wanted = text.trim().toLowerCase();
  const rows = useMemo(() => runs
    .filter((run) => !wanted || run.agent.toLowerCase().includes(wanted))
    .map((run) => ({ ...run, key: `${run.agent} ${run.at}` })), [runs, wanted]);
  const columns = [
    { id: "at", title: "At", width: "180px", value: (run) => run.at, cell: (run) => dateTime(run.at) },
    { id: "in", title: "In", width: "100px", align: "end", cell: (run) => relative(run.at, now.value) },
    { id: "agent", title: "Agent", width: "minmax(160px, 1fr)", card: "title", value: (run) => run.agent, cell: (run) => oneLine(run.agent) },
    { id: "trigger", title: "By", width: "110px", value: (run) => run.trigger, cell: (run) => run.trigger },
    { id: "jitter", title: "Jitter", width: "100px", align: "end", hide: 900,
      cell: (run) => { const late = Date.parse(run.at) - Date.parse(run.scheduledFor); return late > 0 ? duration(late) : ""; } },
    { id: "actions", title: "Actions", hiddenTitle: true, width: "92px", align: "end",
      cell: (run) => html`<${Button} kind="quiet" needs="operator" title=${`Run ${run.agent} now`} onClick=${() => runNow(run.agent)}>Run now</>` },
  ];
  return html`<${Table} label="Next runs" columns=${columns} rows=${rows} rowKey=${(run) => run.key} href=${(run) => href("agents", run.agent)}
    empty=${html`<${Empty} title="No run fits the filter"/>`}/>`;
}

function Collisions({ of, workers, length, again }) {
  if (!Number.isFinite(workers)) return null;
  const note = again.length > 0 && html`<p class="quiet">Of ${again.length === 1 ? oneLine(again[0]) : plural(again.length, "agent")}, due again and again, the first ${count(OF_EACH)} runs are looked at; “What if” looks at all.</p>`;
  if (of.length === 0) {
    return html`<${Section} title="Collisions"><p class="quiet">In no second of the next ${duration(length)} is more due than the ${plural(workers, "worker")} can begin.</p>${note}</>`;
  }
  return html`<${Section} title="Collisions" note=${`${plural(of.length, "second")} with more due than ${plural(workers, "worker")}`}
      actions=${html`<span class="quiet">a <code>jitter</code> spreads them</span>`}>
    <ul class="collisions">${of.slice(0, SHOWN_COLLISIONS).map((one) => html`<li>
      <span class="num"><${Time} at=${one.at}/></span><span class="mono">${dateTime(one.at)}</span><b class="num">${one.due} due</b>
      <span class="cut" title=${one.agents.join(", ")}>${one.agents.slice(0, 6).map((name, at) => html`${at > 0 ? ", " : ""}<a href=${href("agents", name)}>${oneLine(name)}</a>`)}${
        one.agents.length > 6 ? ` and ${one.agents.length - 6} more` : ""}</span>
    </li>`)}</ul>
    ${note}
    ${of.length > SHOWN_COLLISIONS && html`<p class="quiet">The ${SHOWN_COLLISIONS} fullest of ${count(of.length)}.</p>`}
  </>`;
}
