// The bus: how much is asked, who answers how fast, what went wrong, and a console to ask oneself.
import { html, useMemo } from "../lib/html.js";
import { get } from "../lib/api.js";
import { bytes, count, ms, percent, plural } from "../lib/format.js";
import { useResource } from "../lib/resource.js";
import { href, useQuery } from "../lib/route.js";
import { oneLine, Text } from "../lib/text.js";
import { Chart } from "../ui/chart.js";
import { Command } from "../ui/code.js";
import { Empty } from "../ui/empty.js";
import { Filter, Filters } from "../ui/filter.js";
import { Facts, Page, Section, Tabs } from "../ui/page.js";
import { Guard, Needs } from "../ui/problem.js";
import { Badge } from "../ui/status.js";
import { Table } from "../ui/table.js";
import { Tile, Tiles } from "../ui/tiles.js";
import { Time } from "../ui/time.js";
import Console from "./bus.console.js";
import { code, minute, rate, responders, troubles } from "./bus.data.js";

export const title = "Bus";
export const styles = true;

export default function Bus() {
  const [tab, setTab] = useQuery("tab", "traffic");
  return html`<${Page} title="Bus" lead="Requests between agents and messages of all of them, over the NATS protocol.">
    <${Tabs} label="Bus" value=${tab} onPick=${setTab} of=${[["traffic", "Traffic"], ["services", "Micro-services"], ["console", "Console"]]}/>
    ${tab === "console" ? html`<${Needs} role="operator" what="requests and messages of your own"><${Console}/></>`
      : tab === "services" ? html`<${Needs} role="viewer" what="what micro-services say of themselves"><${Services}/></>`
        : html`<${Traffic}/>`}
  </>`;
}

function Traffic() {
  const bus = useResource(({ signal }) => get("/bus", null, { signal }), [], { every: 2_000 });
  return html`<${Guard} of=${bus}>${(data) => html`<${Shown} bus=${data}/>`}</>`;
}

function Shown({ bus }) {
  const [text, setText] = useQuery("q");
  const last = useMemo(() => minute(bus.requestsPerSecond), [bus]);
  const rows = useMemo(() => responders(bus, text), [bus, text]);
  const errors = (bus.responders ?? []).reduce((sum, one) => sum + one.errors, 0);
  const asked = (bus.responders ?? []).reduce((sum, one) => sum + one.requests, 0);
  const wrong = troubles(bus);
  return html`<div class="stack">
    <${Tiles} label="The bus at a glance">
      <${Tile} label="Requests a second" value=${rate(bus.requestsPerSecond).toFixed(1)} detail=${`${count(asked)} since the start`}/>
      <${Tile} label="Errors" value=${count(errors)} tone=${errors > 0 ? "warn" : undefined} detail=${asked > 0 ? `${percent((100 * errors) / asked, 1)} of all requests` : "no requests yet"}/>
      <${Tile} label="Waiting for an answer" value=${count(bus.pendingRequests)}/>
      <${Tile} label="Connections" value=${count(bus.connections)} detail=${`${count(bus.subscriptions)} subscriptions`} meter=${{ value: bus.connections, max: bus.maxConnections, marks: [] }}/>
      <${Tile} label="Messages in" value=${count(bus.inMsgs)} detail=${bytes(bus.inBytes)}/>
      <${Tile} label="Messages out" value=${count(bus.outMsgs)} detail=${bytes(bus.outBytes)}/>
    </>
    ${last.x.length > 0 && html`<${Section} title="Requests a second" note="the last minute">
      <div class="card"><${Chart} label="Requests a second over the last minute" height=${150} unit=${(value) => (Number.isInteger(value) ? count(value) : "")} x=${last.x} from=${last.x[0] - 1} to=${last.x.at(-1) + 1} bars series=${[{ title: "requests", values: last.values, tone: "busy" }]}/></div></>`}
    <${Section} title="Who answers" note=${plural(bus.responders?.length ?? 0, "responder")}>
      ${(bus.responders ?? []).length > 0 && html`<${Filters}><${Filter} value=${text} onInput=${setText} label="Filter responders"/></>`}
      <${Table} label="Responders" columns=${COLUMNS} rows=${rows} rowKey=${(row) => row.agent} href=${(row) => href("agents", row.agent)}
        empty=${text ? html`<${Empty} title="No responder fits the filter"/>` : html`<${Empty} title="Nobody was asked yet"
          text="Agents answer on rpc.NAME. Ask one from the console, or with the CLI." command="werkpilot request AGENT '{}'"/>`}/></>
    <div class="grid-2">
      <${Section} title="Recent errors" note=${bus.recentErrors?.length > 0 ? `the last ${bus.recentErrors.length}` : ""}><${Errors} of=${bus.recentErrors ?? []}/></>
      <${Section} title="Since the start"><div class="card stack">
        ${wrong.length === 0 ? html`<p class="quiet">No request was refused, late or lost.</p>` : html`<${Facts} of=${wrong.map(([name, number]) => [name, count(number)])}/>`}
        <${Facts} of=${[["answered", count(bus.requests?.answered)], ["from the cache", count(bus.requests?.cached)], ["a message at most", bytes(bus.maxPayload)]]}/>
        <p class="quiet">Clients connect to</p><${Command} of=${bus.url}/>
      </div></>
    </div>
  </div>`;
}

const COLUMNS = [
  { id: "agent", title: "Agent", width: "minmax(150px, 2fr)", card: "title", value: (row) => row.agent, cell: (row) => oneLine(row.agent) },
  { id: "requests", title: "Requests", width: "100px", align: "end", value: (row) => row.requests, cell: (row) => count(row.requests) },
  { id: "errors", title: "Errors", width: "120px", align: "end", value: (row) => row.errors, card: "status",
    cell: (row) => (row.errors > 0 ? html`<span class="tone-bad">${count(row.errors)} <span class="quiet">${percent(100 * row.share, 1)}</span></span>` : "0") },
  { id: "p50", title: "p50", width: "90px", align: "end", value: (row) => row.p50, cell: (row) => ms(row.p50) },
  { id: "p95", title: "p95", width: "90px", align: "end", value: (row) => row.p95, cell: (row) => ms(row.p95) },
  { id: "p99", title: "p99", width: "90px", align: "end", hide: 800, value: (row) => row.p99, cell: (row) => ms(row.p99) },
  { id: "mean", title: "Mean", width: "90px", align: "end", hide: 900, value: (row) => row.avgMs, cell: (row) => ms(row.avgMs) },
];

function Errors({ of }) {
  if (of.length === 0) return html`<${Empty} title="No errors" text="The last fifty requests that failed would be here."/>`;
  return html`<ul class="bus-errors card">${of.map((one, at) => html`<li key=${at}>
    <span class="num quiet"><${Time} at=${one.time}/></span><a class="cut" href=${href("agents", one.agent)}>${oneLine(one.agent)}</a>
    <${Badge} tone="bad" title=${code(one.code)}>${one.code} ${code(one.code)}</><span class="bus-error-text"><${Text} of=${one.text} max=${300}/></span></li>`)}</ul>`;
}

function Services() {
  const services = useResource(({ signal }) => get("/bus/services", null, { signal }), [], { every: 10_000 });
  return html`<${Guard} of=${services}>${({ services: all }) => (all.length === 0
    ? html`<${Empty} title="No micro-services" text="A program that uses the service API of its NATS client ($SRV, ADR-32) says here what it offers."/>`
    : html`<div class="stack">${all.map((service) => html`<section key=${`${service.name} ${service.id}`} class="card stack-tight" aria-label=${`Service ${service.name}`}>
        <h2>${oneLine(service.name)} <span class="quiet">${oneLine(service.version ?? "")}</span></h2>
        ${service.description && html`<p><${Text} of=${service.description} max=${500}/></p>`}
        <${Facts} of=${[["agent", service.agent && html`<a class="link" href=${href("agents", service.agent)}>${oneLine(service.agent)}</a>`], ["id", service.id], ["started", service.started && html`<${Time} at=${service.started}/>`]]}/>
        ${(service.endpoints ?? []).length > 0 && html`<div class="endpoints" tabindex="0" role="region" aria-label=${`Endpoints of ${service.name}`}><table>
          <thead><tr><th>Endpoint</th><th>Subject</th><th class="num">Requests</th><th class="num">Errors</th><th class="num">Mean</th></tr></thead>
          <tbody>${service.endpoints.map((one) => html`<tr key=${`${one.name} ${one.subject}`}><td>${oneLine(one.name)}</td><td class="mono">${oneLine(one.subject)}</td>
            <td class="num">${count(one.num_requests)}</td><td class="num">${count(one.num_errors)}</td><td class="num">${ms(typeof one.average_processing_time === "number" ? one.average_processing_time / 1e6 : null)}</td></tr>`)}</tbody></table></div>`}
      </section>`)}</div>`)}</>`;
}
