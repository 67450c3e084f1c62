// Reports of the optimizer: what each night found, what it proposes and why, what was applied, and decisions to undo.
import { html } from "../lib/html.js";
import { get, post } from "../lib/api.js";
import { bytes, count, dateTime, ms, percent, plural } from "../lib/format.js";
import { may } from "../lib/session.js";
import { useResource } from "../lib/resource.js";
import { go, href, useQuery } from "../lib/route.js";
import { oneLine, Text } from "../lib/text.js";
import { Button } from "../ui/button.js";
import { confirm, openDialog } from "../ui/confirm.js";
import { Empty } from "../ui/empty.js";
import { Older, usePages } from "../ui/older.js";
import { Page, Section, Tabs } from "../ui/page.js";
import { Guard, Needs } from "../ui/problem.js";
import { Badge } from "../ui/status.js";
import { sortRows, Table } from "../ui/table.js";
import { Time } from "../ui/time.js";
import { act } from "../ui/toast.js";
import { appliedAs, baselines, decisions, demand, proposal, tooLittle } from "./reports.data.js";

export const title = (id) => (id ? `Report ${id}` : "Reports");
export const styles = true;
export const stays = true;

export default function Reports({ id }) {
  const [tab, setTab] = useQuery("tab", "reports");
  const run = async (dryRun) => {
    if (!dryRun) {
      const sure = await confirm({ title: "Run the optimizer now?", text: "It looks back over the history, keeps a report, tidies the database, prunes history and logs, and tries once who is disabled by failure. With [optimizer] apply it also applies priorities.", action: "Run now" });
      if (!sure) return;
    }
    const report = await act(post("/optimize", { dryRun }), dryRun ? null : "The optimizer has looked back", "The optimizer did not run");
    if (!report) return;
    if (dryRun) await openDialog((close) => html`<h2>Dry run</h2><p class="quiet">Nothing of this is kept or applied.</p><${Report} of=${report}/><div class="dialog-actions"><${Button} kind="primary" onClick=${() => close(true)}>Close</></div>`, { label: "Dry run", wide: true });
    else go("reports", report.id);
  };
  return html`<${Page} title="Reports" lead="Every night the optimizer looks back: what it found, what it proposes, and why."
    actions=${html`<${Button} needs="admin" onClick=${() => run(true)}>Dry run</><${Button} needs="admin" onClick=${() => run(false)}>Run now…</>`}>
    <${Tabs} label="Reports" value=${tab} onPick=${setTab} of=${[["reports", "Reports"], ["decisions", "Decisions"]]}/>
    ${tab === "decisions" ? html`<${Needs} role="viewer" what="decisions"><${Decisions}/></>` : html`<${Kept} id=${id}/>`}
  </>`;
}

function Kept({ id }) {
  const reports = usePages("/reports", { rows: (page) => page.reports, keyOf: (one) => one.id, on: "optimization.*", every: 60_000 });
  const all = reports.rows;
  return html`<${Guard} of=${reports.first}>${() => (all.length === 0
    ? html`<${Empty} title="No report yet" text="The optimizer looks back every night, by [optimizer] schedule. It can be asked at once." command="werkpilot optimize"/>`
    : html`<div class="reports">
      <nav class="card" aria-label="Reports"><ul>${all.map((one) => html`<li key=${one.id}><a href=${href("reports", one.id)} aria-current=${String(one.id) === String(id ?? all[0].id) ? "page" : null}>
        <span>${dateTime(one.at).slice(0, 16)}</span>
        <span class="num">${one.proposals > 0 ? plural(one.proposals, "proposal") : html`<span class="quiet">no proposals</span>`}${one.applied > 0 ? `, ${one.applied} applied` : ""}</span>
        ${one.by !== "schedule" && html`<span class="quiet">by ${oneLine(one.by, 40)}</span>`}</a></li>`)}</ul><${Older} of=${reports} what="reports"/></nav>
      <div>${may("viewer") ? html`<${One} key=${id ?? all[0].id} id=${id ?? all[0].id}/>` : html`<${Needs} role="viewer" what="what is in a report"/>`}</div>
    </div>`)}</>`;
}

function One({ id }) {
  const report = useResource(({ signal }) => get(`/reports/${encodeURIComponent(id)}`, null, { signal }), [id], { on: "optimization.undone" });
  return html`<${Guard} of=${report}>${(data) => html`<${Report} of=${data}/>`}</>`;
}

function Report({ of }) {
  const proposals = of.proposals ?? [];
  const busy = demand(of.demand);
  return html`<article class="stack" aria-label=${of.id ? `Report ${of.id}` : "Dry run"}>
    <header><h2>${of.id ? `Report ${of.id}` : "What it would report"} <span class="quiet">${dateTime(of.at)}</span></h2>
      <p class="quiet">Looked at ${plural(of.window.executions, "execution")} since ${dateTime(of.window.from)}${of.window.truncated ? "; there were more before" : ""}. Asked for by ${oneLine(of.by, 80)}, took ${ms(of.durationMs)}.</p>
      ${busy && html`<p class="quiet">${busy}</p>`}</header>
    <${Section} title="Proposals" note=${proposals.length > 0 ? count(proposals.length) : ""}>
      ${proposals.length === 0 ? html`<p class="quiet">None: nothing that was seen calls for a change.</p>` : html`<ol class="proposals">${proposals.map((one) => html`<${Proposal} key=${one.number} of=${one} decision=${appliedAs(of, one.number)}/>`)}</ol>`}
      ${of.proposalsLeftOut > 0 && html`<p class="quiet">And ${of.proposalsLeftOut} more.</p>`}</>
    ${(of.tooLittle ?? []).length > 0 && html`<${Section} title="Too little data"><ul class="too-little quiet">${of.tooLittle.map((one) => html`<li><${Text} of=${tooLittle(one)} max=${600}/></li>`)}</ul></>`}
    ${(of.trials ?? []).length > 0 && html`<p>Tried once although their breaker was open: ${of.trials.map((name, at) => html`${at > 0 ? ", " : ""}<a class="link" href=${href("agents", name)}>${oneLine(name)}</a>`)}</p>`}
    ${of.care && html`<${Section} title="Tidied"><p class="quiet">${plural(of.care.executions, "execution")} and ${plural(of.care.events, "event")} went; the database has ${bytes(of.care.bytesAfter)}, before ${bytes(of.care.bytesBefore)}. It took ${ms(of.care.durationMs)}.</p>
      ${of.care.problem && html`<p class="tone-bad">Not all of it: <${Text} of=${of.care.problem} max=${400}/></p>`}</>`}
    <${Section} title="Baselines" note=${plural((of.baselines ?? []).length, "agent")}><${Baselines} of=${of}/></>
  </article>`;
}

function Proposal({ of, decision }) {
  return html`<li class="card stack-tight"><h3><${Text} of=${proposal(of)} max=${400}/> ${decision ? html`<${Badge} tone="good">applied, decision ${decision}</>` : html`<${Badge}>proposed</>`}</h3>
    <p><b>Because</b> <${Text} of=${of.evidence?.words ?? ""} max=${600}/></p><p><b>Then</b> <${Text} of=${of.effect?.words ?? ""} max=${600}/></p></li>`;
}

const COLUMNS = [
  { id: "agent", title: "Agent", width: "minmax(140px, 2fr)", card: "title", value: (row) => row.agent, cell: (row) => oneLine(row.agent) },
  { id: "runs", title: "Runs", width: "76px", align: "end", value: (row) => row.runs, cell: (row) => count(row.runs) },
  { id: "rate", title: "Succeeded", width: "92px", align: "end", value: (row) => row.successRate, cell: (row) => (row.successRate === null ? "" : percent(100 * row.successRate)) },
  { id: "p50", title: "p50", width: "84px", align: "end", hide: 900, value: (row) => row.p50Ms, cell: (row) => ms(row.p50Ms) },
  { id: "p95", title: "p95", width: "132px", align: "end", value: (row) => row.p95Ms,
    cell: (row) => html`${ms(row.p95Ms)}${Math.abs(row.p95Change ?? 0) >= 0.5 ? html` <span class=${row.p95Change > 10 ? "tone-warn" : "quiet"} title="against the report before">${row.p95Change > 0 ? "+" : ""}${row.p95Change.toFixed(0)} %</span>` : ""}` },
  { id: "waiting", title: "Waits, p95", width: "96px", align: "end", hide: 800, value: (row) => row.waitingP95Ms, cell: (row) => ms(row.waitingP95Ms) },
  { id: "restarts", title: "Restarts", width: "82px", align: "end", hide: 900, value: (row) => row.restarts, cell: (row) => count(row.restarts) },
  { id: "missed", title: "Missed", width: "76px", align: "end", hide: 900, value: (row) => row.missed, cell: (row) => count(row.missed) },
  { id: "score", title: "Score", width: "68px", align: "end", value: (row) => row.score, cell: (row) => (row.score === null ? "" : Math.round(row.score)) },
];

function Baselines({ of }) {
  const [sort, setSort] = useQuery("sort", "agent");
  return html`<${Table} label="Baselines by agent" columns=${COLUMNS} rows=${sortRows(baselines(of), COLUMNS, sort)} rowKey=${(row) => row.agent} href=${(row) => href("agents", row.agent)} sort=${sort} onSort=${setSort}
    empty=${html`<${Empty} title="No baselines" text="No agent ran within the window."/>`}/>`;
}

const STATES = { standing: ["good", "stands"], undone: ["off", "undone"], superseded: ["off", "over: the registry says otherwise"] };

function Decisions() {
  const all = usePages("/decisions", { rows: (page) => page.decisions, keyOf: (one) => one.id, on: "optimization.*", every: 30_000 });
  const undo = async (one) => {
    const sure = await confirm({ title: `Undo decision ${one.id}?`, text: `${one.agent} gets priority ${one.registry} again, as the registry says. The optimizer leaves it alone until the registry gives it another one.`, action: "Undo", danger: true });
    if (!sure) return;
    await act(post(`/decisions/${one.id}/undo`), `Decision ${one.id} is undone`, "It was not undone");
    all.reload();
  };
  return html`<${Guard} of=${all.first}>${() => (all.rows.length === 0
    ? html`<${Empty} title="No decisions" text="With [optimizer] apply = true, proposals about priorities are applied, one level at most, and can be undone here."/>`
    : html`<ul class="decisions">${decisions(all.rows).map((one) => html`<li key=${one.id} class="card stack-tight"><div class="row"><b>Decision ${one.id}</b> <a class="link" href=${href("agents", one.agent)}>${oneLine(one.agent)}</a> <span class="num">priority ${one.from} → ${one.to}</span>
      <${Badge} tone=${STATES[one.state]?.[0]}>${STATES[one.state]?.[1] ?? one.state}</><span class="grow"></span>${one.state === "standing" && html`<${Button} kind="danger" needs="admin" label=${`Undo… decision ${one.id}`} onClick=${() => undo(one)}>Undo…</>`}</div>
      <p><b>Because</b> <${Text} of=${one.because} max=${600}/></p>
      <p class="quiet">From <a class="link" href=${href("reports", one.report)}>report ${one.report}</a>, <${Time} at=${one.at}/>${one.changedAt ? html`; changed <${Time} at=${one.changedAt}/>${one.changedBy ? ` by ${oneLine(one.changedBy, 60)}` : ""}` : ""}</p></li>`)}</ul><${Older} of=${all} what="decisions"/>`)}</>`;
}
