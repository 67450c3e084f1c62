// All agents in one table that stays live: what runs, what does not, and what one can do about it.
import { html, useEffect, useMemo, useRef, useSignal } from "../lib/html.js";
import { agentList, loaded } from "../lib/live.js";
import { bytes, count, ms, percent, plural, score, words } from "../lib/format.js";
import { go, href, setQuery, useQuery } from "../lib/route.js";
import { useKeys } from "../lib/keys.js";
import { Text } from "../lib/text.js";
import { Button, Menu } from "../ui/button.js";
import { Empty, Loading } from "../ui/empty.js";
import { Choice, Filter, Filters } from "../ui/filter.js";
import { Page } from "../ui/page.js";
import { useCommands } from "../ui/palette.js";
import { End, STATUSES, Status, statusRank, statusTone } from "../ui/status.js";
import { Strip } from "../ui/strip.js";
import { Table, sortRows } from "../ui/table.js";
import { Time } from "../ui/time.js";
import { VERBS, commandAll, menuOf, runAll } from "./agent.acts.js";
import { FAILING, troubleFirst } from "./agents.data.js";

export const title = "Agents";
export const styles = true;

const time = (value) => (value ? Date.parse(value) : null);

const COLUMNS = [
  { id: "name", title: "Agent", width: "minmax(140px, 1.3fr)", card: "title", value: (row) => row.name, cell: (row) => html`<a class="agent-name" href=${href("agents", row.name)} title=${row.description || null}><${Text} of=${row.name} /></a>` },
  { id: "status", title: "Status", width: "minmax(144px, 2.4fr)", card: "status", value: (row) => statusRank(row.status), cell: (row) => html`<span class="status-cell"><${Status} of=${row.status} title=${row.reason} />${row.reason ? html`<span class="quiet cut why" title=${row.reason}><${Text} of=${row.reason} max=${200} /></span>` : null}</span>` },
  { id: "department", title: "Department", width: "minmax(84px, .8fr)", hide: 1240, card: false, value: (row) => row.department, cell: (row) => html`<span class="quiet"><${Text} of=${row.department} max=${60} /></span>` },
  { id: "kind", title: "Kind", width: "64px", hide: 1400, card: false, value: (row) => row.kind, cell: (row) => html`<span class="quiet">${row.kind}</span>` },
  { id: "next", title: "Next run", width: "92px", hide: 820, card: false, value: (row) => time(row.nextRun), cell: (row) => html`<${Time} at=${row.nextRun} />` },
  { id: "last", title: "Last result", width: "156px", hide: 740, value: (row) => time(row.lastRun?.at), fallingFirst: true, card: "rest", cell: (row) => (row.lastRun ? html`<${End} of=${row.lastRun.end} title=${row.lastRun.reason} /> <span class="quiet"><${Time} at=${row.lastRun.at} /></span>` : row.uptimeSeconds ? html`<span class="quiet">up ${upFor(row.uptimeSeconds)}</span>` : null) },
  { id: "p50", title: "p50", width: "72px", align: "end", hide: 1480, card: false, value: (row) => row.p50, fallingFirst: true, cell: (row) => ms(row.p50) },
  { id: "p95", title: "p95", width: "72px", align: "end", hide: 900, card: false, value: (row) => row.p95, fallingFirst: true, cell: (row) => ms(row.p95) },
  { id: "p99", title: "p99", width: "72px", align: "end", hide: 1480, card: false, value: (row) => row.p99, fallingFirst: true, cell: (row) => ms(row.p99) },
  { id: "score", title: "Score", width: "58px", align: "end", hide: 980, card: false, about: "how far it can be relied on, 0 to 100", value: (row) => row.score, cell: (row) => (row.score === null || row.score === undefined ? "" : html`<span class=${row.score < 50 ? "tone-bad" : row.score < 80 ? "tone-warn" : ""}>${score(row.score)}</span>`) },
  { id: "memory", title: "RSS", width: "84px", align: "end", hide: 1060, card: false, value: (row) => row.rssBytes, fallingFirst: true, cell: (row) => bytes(row.rssBytes) },
  { id: "cpu", title: "CPU", width: "62px", align: "end", hide: 1300, card: false, about: "percent of one core", value: (row) => row.cpuPercent, fallingFirst: true, cell: (row) => percent(row.cpuPercent, row.cpuPercent < 10 ? 1 : 0) },
  { id: "restarts", title: "Restarts", width: "70px", align: "end", hide: 1140, card: false, value: (row) => row.restarts, fallingFirst: true, cell: (row) => (row.restarts > 0 ? count(row.restarts) : html`<span class="quiet">0</span>`) },
  { id: "recent", title: "Last 20", width: "118px", hide: 760, card: "end", cell: (row) => html`<${Strip} of=${row.recent} />` },
  { id: "actions", title: "Actions", width: "44px", align: "end", hiddenTitle: true, card: "actions", class: "actions", cell: (row) => html`<${Menu} label=${`Actions for ${row.name}`} items=${menuOf(row)} />` },
];

function upFor(seconds) {
  const units = [[86_400, "d"], [3600, "h"], [60, "m"]];
  const [size, unit] = units.find(([size]) => seconds >= size) ?? [1, "s"];
  return `${Math.floor(seconds / size)}${unit}`;
}

const GROUPS = { failing: FAILING };

export default function Agents() {
  const [q, setQ] = useQuery("q");
  const [status, setStatus] = useQuery("status");
  const [department, setDepartment] = useQuery("department");
  const [kind, setKind] = useQuery("kind");
  const [sort, setSort] = useQuery("sort");
  const selected = useSignal(new Set());
  const order = useRef(null);
  order.current ??= troubleFirst();
  const list = useMemo(() => order.current(agentList.value), [agentList.value]);

  const wanted = q.trim().toLowerCase();
  const rows = useMemo(() => {
    const statuses = GROUPS[status] ?? (status ? [status] : null);
    const found = list.filter((agent) => (!statuses || statuses.includes(agent.status)) && (!department || agent.department === department) && (!kind || agent.kind === kind) &&
      (wanted === "" || agent.name.includes(wanted) || agent.department.toLowerCase().includes(wanted) || agent.description.toLowerCase().includes(wanted) || (agent.reason ?? "").toLowerCase().includes(wanted)));
    return sortRows(found, COLUMNS, sort);
  }, [list, wanted, status, department, kind, sort]);

  const counts = useMemo(() => tally(list), [list]);
  // What is selected but gone, or filtered away, is not acted upon.
  const chosen = rows.filter((agent) => selected.value.has(agent.name));
  useEffect(() => { if (selected.peek().size > 0) selected.value = new Set(); }, [wanted, status, department, kind]);
  useKeys([["escape", "Select none", () => { if (selected.peek().size === 0) return false; selected.value = new Set(); return true; }]], { group: title });
  const filtered = q || status || department || kind;
  const clear = () => setQuery({ q: null, status: null, department: null, kind: null });
  useCommands(() => [
    { title: "Agents that fail", hint: "filter", run: () => go("agents", null, { status: "failing" }) },
    ...(chosen.length > 0 ? Object.entries(VERBS).map(([verb, { title }]) => ({ title: `${title} the ${plural(chosen.length, "selected agent")}`, needs: "operator", run: () => commandAll(chosen, verb) })) : []),
  ]);

  return html`<${Page} title="Agents" wide lead=${filtered ? `${count(rows.length)} of ${plural(list.length, "agent")}` : plural(list.length, "agent")}>
    <${Filters}><${Filter} value=${q} onInput=${setQ} label="Filter agents" />
      <${Choice} label="Status" value=${status} onPick=${setStatus} options=${[["", "Any status"], ["failing", "Failing", counts.failing], ...STATUSES.filter((one) => counts.status.has(one) || one === status).map((one) => [one, words(one), counts.status.get(one) ?? 0])]} />
      <${Choice} label="Department" value=${department} onPick=${setDepartment} options=${[["", "Any department"], ...[...counts.department].sort().map(([one, number]) => [one, one, number])]} />
      <${Choice} label="Kind" value=${kind} onPick=${setKind} options=${[["", "Jobs and services"], ["job", "Jobs", counts.job], ["service", "Services", counts.service]]} />
      ${filtered ? html`<${Button} kind="quiet" onClick=${clear}>Clear</${Button}>` : null}
    </${Filters}>
    ${chosen.length > 0 ? html`<${Chosen} agents=${chosen} clear=${() => { selected.value = new Set(); }} />` : null}
    ${list.length === 0 && !loaded.value ? html`<${Loading} />` : html`<${Table} label="Agents" columns=${COLUMNS} rows=${rows} rowKey=${keyOf} href=${linkOf} selected=${selected} sort=${sort} onSort=${setSort} height=${38} cardHeight=${66}
      rowClass=${rowClass}
      empty=${filtered ? html`<${Empty} title="No agent fits" text="Other words or fewer filters show more." action=${html`<${Button} onClick=${clear}>Clear the filters</${Button}>`} />`
        : html`<${Empty} title="The registry is empty" text="Agents are programs named in a registry file; a change of it is read by itself." command="werkpilot schema registry" />`} />`}
  </${Page}>`;
}

const keyOf = (agent) => agent.name;
const linkOf = (agent) => href("agents", agent.name);
const rowClass = (agent) => (statusTone(agent.status) === "bad" ? "failing" : "");

function tally(list) {
  const [status, department] = [new Map(), new Map()];
  let [job, service, failing] = [0, 0, 0];
  for (const agent of list) {
    status.set(agent.status, (status.get(agent.status) ?? 0) + 1);
    department.set(agent.department, (department.get(agent.department) ?? 0) + 1);
    if (agent.kind === "job") job += 1;
    else service += 1;
    if (GROUPS.failing.includes(agent.status)) failing += 1;
  }
  return { status, department, job, service, failing };
}

function Chosen({ agents: chosen, clear }) {
  const done = (promise) => promise.then((did) => { if (did) clear(); });
  return html`<div class="banner chosen-bar" role="region" aria-label="Selected agents"><b>${plural(chosen.length, "agent")} selected</b>
    <div class="row">${Object.entries(VERBS).map(([verb, { title, danger }]) => html`<${Button} key=${verb} needs="operator" kind=${danger ? "small danger" : "small"} onClick=${() => done(commandAll(chosen, verb))}>${title}</${Button}>`)}
      <${Button} needs="operator" kind="small" onClick=${() => done(runAll(chosen))}>Run now</${Button}></div>
    <${Button} kind="quiet small" onClick=${clear}>Select none</${Button}></div>`;
}
