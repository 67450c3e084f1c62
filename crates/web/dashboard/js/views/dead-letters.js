// Dead letters: grouped by what went wrong, each with all that is needed to understand it, and what to do about one or many.
import { html, signal, useState } from "../lib/html.js";
import { pages } from "../lib/api.js";
import { count, plural, words } from "../lib/format.js";
import { go, href, route, setQuery, useQuery } from "../lib/route.js";
import { oneLine, Text } from "../lib/text.js";
import { Button, Menu } from "../ui/button.js";
import { Empty } from "../ui/empty.js";
import { Choice, Filter, Filters } from "../ui/filter.js";
import { Older, usePages } from "../ui/older.js";
import { Page, Section } from "../ui/page.js";
import { Guard, Needs } from "../ui/problem.js";
import { Split } from "../ui/split.js";
import { Badge } from "../ui/status.js";
import { Table } from "../ui/table.js";
import { Time } from "../ui/time.js";
import { actions } from "./dead-letters.acts.js";
import { filter, inWords, rows, standing, STATES } from "./dead-letters.data.js";
import Letter from "./dead-letters.letter.js";
import { Sets } from "./dead-letters.sets.js";

export const title = (id) => (id ? `Dead letter ${id}` : "Dead letters");
export const styles = true;
export const stays = true;

const FIELDS = ["agent", "signature", "state", "since", "text"];
/** Of a page. A desk holds a hundred by default, ten thousand at most. */
const MOST = 1_000;
const GROUPS = 5;

export default function DeadLetters({ id }) {
  return html`<${Page} title="Dead letters" lead="What failed for good, kept with all that is needed to understand it and to run it again." wide=${Boolean(id)}>
    <${Needs} role="viewer" what="dead letters with their logs and payloads"><${Desk} id=${id}/></>
  </>`;
}

function Desk({ id }) {
  const { query } = route.value;
  const fields = Object.fromEntries(FIELDS.map((name) => [name, query[name] ?? ""]));
  const asked = JSON.stringify(fields);
  const letters = usePages("/dead-letters", { query: () => ({ ...filter(fields), limit: MOST }), key: asked, rows, keyOf: (letter) => letter.id, on: ["dlq.>", "execution.>"] });
  const reload = letters.reload;
  const close = () => go("dead-letters", null, query);
  return html`<div class="stack">
    <${Sets} onDone=${reload}/>
    <${Guard} of=${letters.first}>${(page) => html`<${Split} label=${`Dead letter ${id}`} onClose=${close}
      list=${html`<${List} page=${page} letters=${letters} fields=${fields} reload=${reload} chosen=${id}/>`}
      panel=${id && html`<${Letter} key=${id} id=${id} onChange=${reload} onGone=${close}/>`}/>`}</>
  </div>`;
}

function List({ page, letters, fields, reload, chosen }) {
  const [text, setText] = useQuery("text");
  const [selected] = useState(() => signal(new Set()));
  const shown = letters.rows;
  const picked = shown.filter((letter) => selected.value.has(letter.id));
  const done = () => {
    selected.value = new Set();
    reload();
  };
  const set = (name) => (value) => setQuery({ [name]: value || null });
  const any = FIELDS.some((name) => fields[name]);
  const clear = () => setQuery(Object.fromEntries(FIELDS.map((name) => [name, null])));
  if (page.matching === 0 && !any) {
    return html`<${Empty} title="No dead letters" command="werkpilot dlq"
      text=${page.total > 0 ? `${plural(page.total, "dead letter")} ever; all of them are dealt with.` : "What fails for good, after its last attempt, is kept here."}/>`;
  }
  const agents = [...new Set(page.groups.flatMap((group) => group.agents))].sort();
  return html`
    <${Groups} of=${page.groups} signature=${fields.signature} onPick=${set("signature")}/>
    <${Filters}>
      <${Filter} value=${text} onInput=${setText} label="Search in error, log and payload"/>
      <${Choice} label="Agent" value=${fields.agent} onPick=${set("agent")} options=${[["", "all agents"], ...named(agents, fields.agent).map((name) => [name, name])]}/>
      <${Choice} label="State" value=${fields.state} onPick=${set("state")} options=${[["", "any state"], ...STATES.map((state) => [state, words(state)])]}/>
      <${Choice} label="Given up" value=${fields.since} onPick=${set("since")} options=${[["", "any time"], ["1h", "in the last hour"], ["24h", "in the last day"], ["7d", "in the last 7 days"]]}/>
    </>
    ${fields.signature && html`<p class="row"><span class="chip">error: <span class="mono cut">${oneLine(fields.signature, 90)}</span>
      <${Button} kind="quiet" icon="close" label="All errors" onClick=${() => set("signature")(null)}/></span></p>`}
    <${Batch} page=${page} picked=${picked} fields=${fields} any=${any} done=${done}/>
    <${Table} label="Dead letters" columns=${COLUMNS} rows=${shown} rowKey=${(letter) => letter.id} selected=${selected}
      href=${(letter) => href("dead-letters", letter.id, route.value.query)} rowClass=${(letter) => (String(letter.id) === String(chosen) ? "current" : "")}
      empty=${html`<${Empty} title="No dead letter fits the filter" text=${`${plural(page.groups.reduce((sum, group) => sum + group.count, 0), "dead letter")} without it.`}
        action=${html`<${Button} onClick=${clear}>Clear the filter</>`}/>`}/>
    <p class="quiet">${page.matching > shown.length ? `The newest ${count(shown.length)} of ${count(page.matching)}` : plural(page.matching, "dead letter")} · ${count(page.total)} ever${
      page.evicted > 0 ? ` · ${count(page.evicted)} had to make room` : ""}${page.waitingForDisk > 0 ? html` · <span class="tone-warn">${count(page.waitingForDisk)} more wait for the disk</span>` : ""}</p>
    <${Older} of=${letters} what="dead letters"/>`;
}

const named = (agents, chosen) => (chosen && !agents.includes(chosen) ? [chosen, ...agents] : agents);

function Groups({ of, signature, onPick }) {
  const [all, setAll] = useState(false);
  if (of.length === 0) return null;
  const shown = all ? of : of.slice(0, GROUPS);
  return html`<${Section} title="By error" note=${plural(of.length, "signature")}>
    <ul class="groups">${shown.map((group) => html`<li key=${group.signature}>
      <button type="button" class=${group.signature === signature ? "group on" : "group"} aria-pressed=${String(group.signature === signature)}
        onClick=${() => onPick(group.signature === signature ? null : group.signature)}>
        <b class="num">${count(group.count)}×</b>
        <span class="mono cut" title=${oneLine(group.signature, 600)}>${oneLine(group.signature, 240)}</span>
        <span class="quiet cut">${group.agents.slice(0, 3).join(", ")}${group.agents.length > 3 ? ` and ${group.agents.length - 3} more` : ""}</span>
        <span class="quiet num"><${Time} at=${group.lastSeen}/></span>
      </button></li>`)}</ul>
    ${of.length > GROUPS && html`<${Button} kind="quiet" onClick=${() => setAll(!all)}>${all ? "Fewer" : `All ${of.length} signatures`}</>`}
  </>`;
}

/** What is done to many: to those that are ticked, else to all that fit the filter. */
function Batch({ page, picked, fields, any, done }) {
  const ticked = picked.length > 0;
  const number = ticked ? picked.length : page.matching;
  const meant = ticked ? "ticked" : any ? inWords(fields) : "in all";
  const { replayTicked, discardTicked, replayAll, discardAll, replayWhenHealthy } = actions;
  const off = number === 0;
  return html`<div class="batch row" role="group" aria-label="What is done to many">
    <span><b class="num">${count(number)}</b> ${number === 1 ? "dead letter" : "dead letters"} ${oneLine(meant, 120)}</span>
    <span class="grow"></span>
    <${Button} needs="operator" icon="restart" disabled=${off} onClick=${() => (ticked ? replayTicked(picked) : replayAll(fields)).then((did) => did && done())}>Replay…</>
    <${Button} needs="operator" disabled=${off || ticked} title=${ticked ? "for all that fit the filter; untick to use it" : undefined}
      onClick=${() => replayWhenHealthy(fields).then((did) => did && done())}>Replay when healthy…</>
    <${Button} needs="operator" kind="danger" disabled=${off} onClick=${() => (ticked ? discardTicked(picked) : discardAll(fields)).then((did) => did && done())}>Discard…</>
    <${Menu} label="More" items=${[{ title: "Save as JSON", run: () => save(fields) }]}/>
  </div>`;
}

/** All that fit, also those of further pages, as a file for a ticket or a script. */
async function save(fields) {
  const { entries } = await pages("/dead-letters", { ...filter(fields), limit: MOST }, "deadLetters", { limit: 10 * MOST });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(entries, null, 2)], { type: "application/json" }));
  link.download = "dead-letters.json";
  link.click();
  URL.revokeObjectURL(link.href);
}

const COLUMNS = [
  { id: "id", title: "#", width: "64px", align: "end", card: false, value: (letter) => letter.id, cell: (letter) => letter.id },
  { id: "agent", title: "Agent", width: "minmax(130px, 1fr)", card: "title", value: (letter) => letter.agentName, cell: (letter) => oneLine(letter.agentName) },
  { id: "error", title: "Error", width: "minmax(200px, 3fr)", card: "break", value: (letter) => letter.error, cell: (letter) => html`<${Text} of=${letter.error} max=${300}/>` },
  { id: "state", title: "State", width: "minmax(110px, 150px)", card: "status", value: (letter) => letter.state,
    cell: (letter) => html`<${Badge} tone=${TONES[letter.state]}>${standing(letter)}</>` },
  { id: "failed", title: "Failed", width: "72px", align: "end", hide: 1500, value: (letter) => letter.restartCount, cell: (letter) => `${letter.restartCount}×` },
  { id: "at", title: "Given up", width: "96px", align: "end", value: (letter) => letter.timestamp, cell: (letter) => html`<${Time} at=${letter.timestamp}/>` },
];

const TONES = { open: "bad", waiting: "busy", replaying: "busy", replayed: "good", parked: "warn" };
