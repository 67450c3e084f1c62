// The audit log: who changed what, from what to what, and whether the chain of entries holds.
import { html } from "../lib/html.js";
import { dateTime, plural, words } from "../lib/format.js";
import { go, href, route, setQuery } from "../lib/route.js";
import { oneLine, Text, visible } from "../lib/text.js";
import { Button } from "../ui/button.js";
import { Command } from "../ui/code.js";
import { Empty } from "../ui/empty.js";
import { Choice, Filter, Filters } from "../ui/filter.js";
import { Older, usePages } from "../ui/older.js";
import { Facts, Page } from "../ui/page.js";
import { Guard, Needs } from "../ui/problem.js";
import { Split } from "../ui/split.js";
import { Badge } from "../ui/status.js";
import { Table } from "../ui/table.js";
import { Time } from "../ui/time.js";
import { changes, outcome, query, summary } from "./audit.data.js";

export const title = "Audit";
export const styles = true;
export const stays = true;

const PAGE = 200;
const FIELDS = ["who", "action", "since"];

export default function Audit({ id }) {
  return html`<${Page} title="Audit" lead="Who changed what. Each entry seals the one before it, so a change of what was written is found." wide=${Boolean(id)}>
    <${Needs} role="admin" what="the audit log"><${Log} id=${id}/></>
  </>`;
}

function Log({ id }) {
  const { query: asked } = route.value;
  const fields = Object.fromEntries(FIELDS.map((name) => [name, asked[name] ?? ""]));
  const key = JSON.stringify(fields);
  const pages = usePages("/audit", { query: () => ({ ...query(fields), limit: PAGE }), key, rows: (page) => page.entries, keyOf: (entry) => entry.id, every: 10_000 });
  const set = (name) => (value) => setQuery({ [name]: value || null });
  return html`<div class="stack">
    <${Filters}>
      <${Filter} value=${fields.who} onInput=${set("who")} label="Who exactly, such as token:ci or cli:ada"/>
      <label class="filter"><span class="hidden-text">What was done, or to whom</span><input type="text" value=${fields.action} placeholder="What, or of whom" autocomplete="off" onChange=${(event) => set("action")(event.target.value)}/></label>
      <${Choice} label="When" value=${fields.since} onPick=${set("since")} options=${[["", "any time"], ["1h", "in the last hour"], ["24h", "in the last day"], ["7d", "in the last 7 days"]]}/>
    </>
    <${Guard} of=${pages.first}>${(data) => html`<${Entries} of=${data} pages=${pages} fields=${fields} id=${id}/>`}</>
  </div>`;
}

function Entries({ of, pages, fields, id }) {
  const { rows } = pages;
  const open = id ? rows.find((entry) => String(entry.id) === id) : null;
  const close = () => go("audit", null, route.value.query);
  const any = FIELDS.some((name) => fields[name]);
  const list = html`
    <${Chain} of=${of}/>
    <p class="quiet">${plural(rows.length, "entry", "entries")}${pages.there ? ", there are older ones" : ""}</p>
    <${Table} label="Audit log" cardHeight=${82} columns=${COLUMNS} rows=${rows} rowKey=${(entry) => entry.id} href=${(entry) => href("audit", entry.id, route.value.query)} rowClass=${(entry) => (String(entry.id) === id ? "current" : "")}
      empty=${any ? html`<${Empty} title="No entry fits the filter" action=${html`<${Button} onClick=${() => setQuery({ who: null, action: null, since: null })}>Clear the filter</>`}/>`
        : html`<${Empty} title="Nobody has changed anything yet" text="Every change through this page, the API and the CLI is here, with what was before and after."/>`}/>
    <${Older} of=${pages} what="entries"/>`;
  return html`<${Split} list=${list} label=${`Entry ${id}`} onClose=${close} panel=${id && (open ? html`<${Entry} of=${open}/>` : html`<p class="quiet">Entry ${id} is not among those that are loaded.</p>`)}/>`;
}

function Chain({ of }) {
  if (of.verified !== false) {
    return html`<p class="row chain"><${Badge} tone="good">✓ chain verified</> <span class="quiet">Each of these entries is what was written, and none is missing.</span></p>`;
  }
  const why = of.broken?.text ?? of.broken?.message ?? (typeof of.broken === "string" ? of.broken : of.problem ?? "an entry is not what was written");
  return html`<div class="banner bad" role="alert"><b>The chain is broken:</b> <${Text} of=${String(why)} max=${400}/>. Somebody changed the log outside of Werkpilot, or the disk did. <${Command} of="werkpilot state check"/></div>`;
}

const COLUMNS = [
  { id: "time", title: "When", width: "104px", value: (entry) => entry.time, cell: (entry) => html`<${Time} at=${entry.time}/>` },
  { id: "who", title: "Who", width: "minmax(120px, 1fr)", value: (entry) => entry.who, cell: (entry) => oneLine(entry.who, 80) },
  { id: "what", title: "What", width: "minmax(150px, 1.2fr)", card: "title", value: (entry) => entry.what, cell: (entry) => html`<span title=${visible(entry.action)}>${oneLine(entry.what, 80)}</span>` },
  { id: "target", title: "Of whom", width: "minmax(110px, 1fr)", value: (entry) => entry.target, cell: (entry) => oneLine(entry.target ?? "", 80) },
  { id: "change", title: "Before → after", width: "minmax(160px, 2fr)", hide: 900, card: "break", cell: (entry) => { const text = summary(entry); return html`<span class="mono" title=${oneLine(text, 600)}>${oneLine(text, 160)}</span>`; } },
  { id: "way", title: "Over", width: "120px", hide: 1200, value: (entry) => entry.way, cell: (entry) => words(entry.way) },
  { id: "outcome", title: "Outcome", width: "100px", card: "status", value: (entry) => entry.status,
    cell: (entry) => { const { tone, word } = outcome(entry.status ?? 200); return html`<${Badge} tone=${tone} title=${entry.status}>${word}</>`; } },
];

function Entry({ of }) {
  const rows = changes(of.before, of.after);
  const { tone, word } = outcome(of.status ?? 200);
  return html`<div class="stack">
    <header><h2>${oneLine(of.who, 80)} ${oneLine(of.what, 80)}</h2><p class="row"><${Badge} tone=${tone}>${word}</><span class="quiet">${dateTime(of.time)}, <${Time} at=${of.time}/></span></p></header>
    ${of.detail && html`<p><${Text} of=${of.detail} max=${1_000}/></p>`}
    <${Facts} of=${[["action", of.action], ["of whom", of.target], ["over", words(of.way)], ["from", of.peer], ["status", of.status], ["entry", of.id]].map(([name, value]) => [name, value === null || value === undefined ? null : visible(value)])}/>
    <section class="stack-tight" aria-label="What changed"><h3>What changed</h3>
      ${rows.length === 0 ? html`<p class="quiet">${of.status >= 400 ? "Nothing: it was not done." : "No values are told of it."}</p>`
        : html`<div class="changes" tabindex="0" role="region" aria-label="Before and after"><table><thead><tr><th>What</th><th>Before</th><th>After</th></tr></thead>
          <tbody>${rows.map((row) => html`<tr key=${row.key}><th scope="row" class="mono">${visible(row.key)}</th><td class="mono before"><${Text} of=${row.before ?? "–"} max=${600}/></td><td class="mono after"><${Text} of=${row.after ?? "–"} max=${600}/></td></tr>`)}</tbody></table></div>`}
    </section>
    <section class="stack-tight" aria-label="Seal"><h3>Seal</h3><${Facts} of=${[["hash", html`<span class="mono hash">${visible(of.hash)}</span>`], ["follows", html`<span class="mono hash">${visible(of.prev)}</span>`]]}/></section>
  </div>`;
}
