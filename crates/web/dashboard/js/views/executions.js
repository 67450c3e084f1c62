// Executions of all agents that have ended, and one of them whole: attempts, output, why.
import { html, useEffect, useState } from "../lib/html.js";
import { get, isAborted, post } from "../lib/api.js";
import { bytes, clock, dateTime, ms, plural, words } from "../lib/format.js";
import { agents } from "../lib/live.js";
import { useResource } from "../lib/resource.js";
import { href, route, setQuery } from "../lib/route.js";
import { oneLine, Text } from "../lib/text.js";
import { Button, Link } from "../ui/button.js";
import { Code, Command } from "../ui/code.js";
import { confirm } from "../ui/confirm.js";
import { Empty, Loading } from "../ui/empty.js";
import { Choice, Filter, Filters } from "../ui/filter.js";
import { Older, usePages } from "../ui/older.js";
import { Facts } from "../ui/page.js";
import { Guard, ProblemView } from "../ui/problem.js";
import { Split } from "../ui/split.js";
import { Badge, End, endTone } from "../ui/status.js";
import { Table } from "../ui/table.js";
import { Time } from "../ui/time.js";
import { act } from "../ui/toast.js";
import { ENDS, pastQuery, TRIGGERS } from "./events.data.js";
import { asked, exit, sentence } from "./queue.data.js";

const PAGE = 200;
const LINES = 500;
const FIELDS = ["agent", "state", "trigger", "text", "since"];

export default function Executions() {
  const { query } = route.value;
  const fields = Object.fromEntries(FIELDS.map((name) => [name, query[name] ?? ""]));
  const key = JSON.stringify(fields);
  const pages = usePages("/executions", {
    query: () => ({ ...pastQuery(fields), limit: PAGE }), key, rows: (page) => page.executions, keyOf: (one) => one.runId,
    on: ["execution.succeeded", "execution.failed", "execution.timed_out", "execution.cancelled", "execution.lost", "execution.interrupted"],
  });
  const set = (name) => (value) => setQuery({ [name]: value || null });
  const names = [...agents.value.keys()];
  const list = html`
    <${Filters}>
      <${Filter} value=${fields.text} onInput=${set("text")} label="Search in id, reason and exit"/>
      <${Choice} label="Agent" value=${fields.agent} onPick=${set("agent")} options=${[["", "all agents"], ...(fields.agent && !names.includes(fields.agent) ? [fields.agent, ...names] : names).map((name) => [name, name])]}/>
      <${Choice} label="End" value=${fields.state} onPick=${set("state")} options=${[["", "any end"], ["failed,timed_out,lost", "went wrong"], ...ENDS.map((end) => [end, words(end)])]}/>
      <${Choice} label="Trigger" value=${fields.trigger} onPick=${set("trigger")} options=${[["", "any trigger"], ...TRIGGERS.map((one) => [one, one])]}/>
      <${Choice} label="Ended" value=${fields.since} onPick=${set("since")} options=${[["", "any time"], ["1h", "in the last hour"], ["24h", "in the last day"], ["7d", "in the last 7 days"]]}/>
    </>
    <${Guard} of=${pages.first}>${() => html`<${Found} pages=${pages} open=${query.open}/>`}</>`;
  return html`<${Split} list=${list} label="Execution" onClose=${() => setQuery({ open: null })} panel=${query.open && html`<${Execution} key=${query.open} run=${query.open}/>`}/>`;
}

function Found({ pages, open }) {
  return html`
    <p class="quiet">${plural(pages.rows.length, "execution")}${pages.there ? ", there are older ones" : ""}</p>
    <${Table} label="Executions" columns=${COLUMNS} rows=${pages.rows} rowKey=${(one) => one.runId} onOpen=${(one) => setQuery({ open: one.runId })} rowClass=${(one) => (one.runId === open ? "current" : "")}
      empty=${html`<${Empty} title="No execution fits" text="Executions appear here when they end; [history] keep says how long they stay." command="werkpilot history"
        action=${html`<${Button} onClick=${() => setQuery(Object.fromEntries(FIELDS.map((name) => [name, null])))}>Clear the filter</>`}/>`}/>
    <${Older} of=${pages} what="executions"/>`;
}

const COLUMNS = [
  { id: "ended", title: "Ended", width: "96px", value: (one) => one.endedAt, cell: (one) => html`<${Time} at=${one.endedAt}/>` },
  { id: "agent", title: "Agent", width: "minmax(130px, 1.2fr)", card: "title", value: (one) => one.agent, cell: (one) => oneLine(one.agent) },
  { id: "end", title: "End", width: "110px", card: "status", value: (one) => one.state, cell: (one) => html`<${End} of=${one.state}/>` },
  { id: "took", title: "Took", width: "88px", align: "end", value: (one) => one.durationMs, cell: (one) => ms(one.durationMs) },
  { id: "waited", title: "Waited", card: false, width: "88px", align: "end", hide: 1000, value: (one) => one.waitedMs, cell: (one) => (one.waitedMs >= 1 ? ms(one.waitedMs) : "") },
  { id: "attempts", title: "Attempts", card: false, width: "80px", align: "end", hide: 900, value: (one) => one.attempts, cell: (one) => one.attempts },
  { id: "trigger", title: "Asked for", card: false, width: "minmax(110px, 1fr)", hide: 900, cell: (one) => oneLine(asked(one.trigger), 60) },
  { id: "reason", title: "Reason", width: "minmax(160px, 2.4fr)", hide: 760, cell: (one) => html`<span title=${oneLine(one.reason, 600)}>${oneLine(one.reason ?? "", 200)}</span>` },
];

function Execution({ run }) {
  const path = `/executions/${encodeURIComponent(run)}`;
  const execution = useResource(({ signal }) => get(path, null, { signal }), [run], { on: "execution.>" });
  return html`<${Guard} of=${execution}>${(data) => html`<${Shown} of=${data} path=${path} reload=${execution.reload}/>`}</>`;
}

function Shown({ of, path, reload }) {
  const live = !of.endedAt;
  const cancel = async () => {
    const sure = await confirm({ title: `Cancel the execution of ${of.agent}?`, text: "Its program is stopped. It makes no dead letter and is not tried again.", action: "Cancel execution", danger: true });
    if (!sure) return;
    await act(post(`${path}/cancel`), "It is being cancelled", "It was not cancelled");
    reload();
  };
  const again = () => act(() => post(`/agents/${encodeURIComponent(of.agent)}/trigger`, {}, { idempotent: true }), `${of.agent} is queued`, `${of.agent} was not run`, { about: `run ${of.agent}` });
  return html`<div class="stack">
    <header><h2><a class="link" href=${href("agents", of.agent)}>${oneLine(of.agent)}</a></h2><p class="row">${live ? html`<${Badge} tone="busy">${words(of.state)}</>` : html`<${Badge} tone=${endTone(of.state)}>${words(of.state)}</>`}<span class="mono quiet">${of.runId}</span></p></header>
    ${of.reason && html`<p><${Text} of=${typeof of.reason === "string" ? of.reason : sentence(of.reason)} max=${2_000}/></p>`}
    <div class="row">
      ${live ? html`<${Button} kind="danger" needs="operator" onClick=${cancel}>Cancel…</>` : html`<${Button} icon="play" needs="operator" title="without a payload" onClick=${again}>Run ${oneLine(of.agent, 40)} now</>`}
      <${Link} href=${href("events", null, { run: of.runId })}>Its events</>
      ${of.origin && html`<${Link} href=${href("dead-letters", of.origin)}>Dead letter ${of.origin}</>`}
    </div>
    <${Facts} of=${[["asked for", asked(of.trigger)], ["scheduled for", of.scheduledFor && dateTime(of.scheduledFor)], ["queued", of.queuedAt && dateTime(of.queuedAt)], ["started", of.startedAt && dateTime(of.startedAt)],
      ["ended", of.endedAt && dateTime(of.endedAt)], ["waited", of.waitedMs >= 1 ? ms(of.waitedMs) : "no time"], ["took", ms(of.durationMs)], ["ended with", exit(of.exit)], ["memory, at most", of.peakMemoryBytes && bytes(of.peakMemoryBytes)]]}/>
    ${(of.attemptList ?? []).length > 1 && html`<section class="stack-tight" aria-label="Attempts"><h3>Attempts</h3><ol class="attempts">${of.attemptList.map((one) => html`<li key=${one.attempt}>
      <span class="num">${one.attempt}</span><span>${clock(one.startedAt)}</span><span class="num">${ms(one.durationMs)}</span><span>${oneLine(exit(one.exit))}</span></li>`)}</ol></section>`}
    <${Why} run=${of.runId}/>
    <section class="stack-tight" aria-label="Output"><h3>What it wrote</h3><${Output} path=${path} live=${live}/></section>
  </div>`;
}

function Why({ run }) {
  const why = useResource(({ signal }) => get(`/why/${encodeURIComponent(run)}`, null, { signal }), [run]);
  return html`<section class="stack-tight" aria-label="Why"><h3>Why</h3><${Guard} of=${why}>${(data) => (data.chain?.length > 0
    ? html`<ul class="why-chain">${data.chain.map((link) => html`<li style=${{ paddingInlineStart: `${link.depth * 14}px` }}><${Text} of=${link.text} max=${600}/>${link.at ? html` <span class="quiet">${clock(link.at)}</span>` : ""}</li>`)}</ul>
      ${(data.actions ?? []).slice(0, 3).map((action) => html`<p class="row"><${Command} of=${action.command}/><span class="quiet">${oneLine(action.effect, 160)}</span></p>`)}`
    : html`<p class="quiet">It did what was asked; there is nothing to explain.</p>`)}</></section>`;
}

/** Output is NDJSON: a line of it is a line of the program. */
function Output({ path, live }) {
  const [state, setState] = useState({ loading: true });
  useEffect(() => {
    const controller = new AbortController();
    get(`${path}/logs`, { lines: LINES }, { signal: controller.signal }).then((text) => setState({ lines: parse(text) }), (problem) => { if (!isAborted(problem)) setState({ problem }); });
    return () => controller.abort();
  }, [path, live]);
  if (state.problem) return html`<${ProblemView} of=${state.problem}/>`;
  if (state.loading) return html`<${Loading}/>`;
  if (state.lines.length === 0) return html`<p class="quiet">Nothing, or its lines are not kept any more.</p>`;
  return html`<${Code} label="Output of the execution" of=${state.lines.map((line) => `${clock(line.time)} ${line.stream === "stderr" ? "err" : "out"}  ${line.text}`).join("\n")}/>
    ${state.lines.length >= LINES && html`<p class="quiet">The last ${LINES} lines.</p>`}`;
}

function parse(text) {
  if (typeof text !== "string") return text ? [text].flat() : [];
  return text.split("\n").filter(Boolean).flatMap((line) => {
    try {
      return [JSON.parse(line)];
    } catch {
      return [];
    }
  });
}
