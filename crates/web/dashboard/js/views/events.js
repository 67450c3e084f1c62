// What happened: every fact of the orchestrator as it comes, and every execution that has ended.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../lib/html.js";
import { get, isAborted } from "../lib/api.js";
import { count, dateTime, plural } from "../lib/format.js";
import { agents, paused, useFacts } from "../lib/live.js";
import { go, href, route, setQuery, useQuery } from "../lib/route.js";
import { oneLine, Text } from "../lib/text.js";
import { Button } from "../ui/button.js";
import { Json } from "../ui/code.js";
import { Empty, Loading } from "../ui/empty.js";
import { Choice, Filter, Filters } from "../ui/filter.js";
import { Older, useOlder } from "../ui/older.js";
import { Facts, Page, Tabs } from "../ui/page.js";
import { Needs, ProblemView } from "../ui/problem.js";
import { Split } from "../ui/split.js";
import { Badge } from "../ui/status.js";
import { Table } from "../ui/table.js";
import { Clock, Time } from "../ui/time.js";
import { FAMILIES, fits, KEPT, leadsTo, mentions, merge, query, tone } from "./events.data.js";
import Executions from "./executions.js";

export const title = "Events";
export const styles = true;
export const stays = true;

const PAGE = 500;
const FIELDS = ["type", "agent", "run"];
const NOTHING = { facts: [], kept: KEPT, problem: null, loading: true, there: false, further: false };

export default function Events({ id }) {
  const [tab, setTab] = useQuery("tab", "events");
  return html`<${Page} title="Events" lead="What happened, as it happens, and what became of every execution." wide>
    <${Tabs} label="What happened" value=${tab} onPick=${(next) => go("events", null, { tab: next === "events" ? null : next })} of=${[["events", "Events"], ["executions", "Executions"]]}/>
    <${Needs} role="viewer" what="events and history">${tab === "executions" ? html`<${Executions}/>` : html`<${Stream} id=${id}/>`}</>
  </>`;
}

function Stream({ id }) {
  const { query: asked } = route.value;
  const fields = Object.fromEntries([...FIELDS, "text"].map((name) => [name, asked[name] ?? ""]));
  const key = FIELDS.map((name) => fields[name]).join("\n");
  const [state, setState] = useState(NOTHING);
  const [follow, setFollow] = useState(true);
  const [waiting, setWaiting] = useState([]);
  const latest = useRef(fields);
  latest.current = fields;

  // Facts that came while a page was loaded stay; those up to a gap go, as what is missing lies between them and the page.
  const gap = useRef(0);
  const wanted = useRef(null);
  const load = async () => {
    const { signal } = wanted.current;
    try {
      const page = await get("/events", { ...query(latest.current), limit: PAGE }, { signal });
      setState((old) => ({ ...NOTHING, facts: merge(old.facts.filter(({ seq }) => seq > gap.current), page.events), loading: false, there: page.events.length >= PAGE }));
    } catch (problem) {
      if (!isAborted(problem)) setState((old) => ({ ...old, problem, loading: false }));
    }
  };
  const older = useOlder(async ({ signal }) => {
    const before = state.facts.at(-1)?.seq;
    const page = await get("/events", { ...query(latest.current), before, limit: PAGE }, { signal });
    if (signal.aborted) return;
    // A list that lost its end meanwhile, or begun anew, would have a hole before these.
    setState((old) => (old.facts.at(-1)?.seq === before ? { ...old, facts: merge(old.facts, page.events, Infinity), kept: old.kept + page.events.length, there: page.events.length >= PAGE, further: true } : old));
  }, key);
  // Another filter, another list: it is empty before the first fact that fits comes.
  useLayoutEffect(() => {
    gap.current = 0;
    wanted.current = new AbortController();
    setState(NOTHING);
    setWaiting([]);
    return () => wanted.current.abort();
  }, [key]);
  // Facts come one by one; the list is made anew once a frame.
  const arrived = useRef([]);
  const frame = useRef(0);
  useEffect(() => () => cancelAnimationFrame(frame.current), []);
  useFacts(">", (fact) => {
    if (fact === null) {
      gap.current = arrived.current.at(-1)?.seq ?? state.facts[0]?.seq ?? 0;
      load();
      return;
    }
    arrived.current.push(fact);
    frame.current ||= requestAnimationFrame(() => {
      frame.current = 0;
      const fresh = arrived.current.splice(0).filter((one) => fits(one, { ...latest.current, text: "" }));
      if (fresh.length === 0) return;
      if (follow) setState((old) => grown(old, fresh));
      else setWaiting((old) => merge(old, fresh));
    });
  });
  // Once facts are listened to, so that none falls between the page and them.
  useEffect(() => { load(); }, [key]);
  const resume = () => {
    setState((old) => grown(old, waiting));
    setWaiting([]);
    setFollow(true);
  };
  const shown = useMemo(() => (fields.text ? state.facts.filter((fact) => mentions(fact, fields.text)) : state.facts), [state.facts, fields.text]);
  const open = id ? state.facts.find((fact) => String(fact.seq) === id) : null;
  const close = () => go("events", null, route.value.query);
  const set = (name) => (value) => setQuery({ [name]: value || null });
  const names = [...agents.value.keys()];

  const list = html`
    <${Filters}>
      <${Filter} value=${fields.text} onInput=${set("text")} label="Find in what is shown"/>
      <${Choice} label="Type" value=${fields.type} onPick=${set("type")} options=${[["", "all types"], ...kinds(fields.type).map((kind) => [kind, kind])]}/>
      <${Choice} label="Agent" value=${fields.agent} onPick=${set("agent")} options=${[["", "all agents"], ...(fields.agent && !names.includes(fields.agent) ? [fields.agent, ...names] : names).map((name) => [name, name])]}/>
      ${fields.run && html`<span class="chip">execution <span class="mono">${fields.run.slice(-12)}</span><${Button} kind="quiet" icon="close" label="All executions" onClick=${() => set("run")("")}/></span>`}
      ${follow ? html`<${Button} icon="pause" onClick=${() => setFollow(false)}>Pause</>`
        : html`<${Button} kind="primary" icon="play" onClick=${resume}>Follow${waiting.length > 0 ? ` (${count(waiting.length)} new)` : ""}</>`}
    </>
    ${state.problem && html`<${ProblemView} of=${state.problem} retry=${load}/>`}
    <p class="quiet events-told" role="status">${plural(shown.length, "event")}${follow ? (paused.value ? `; new ones wait while ${paused.value}` : ", new ones on top as they come") : `; paused, ${count(waiting.length)} new`}</p>
    ${state.loading && state.facts.length === 0 ? html`<${Loading}/>` : html`<${Table} label="Events" columns=${COLUMNS} rows=${shown} rowKey=${(fact) => fact.seq}
      href=${(fact) => href("events", fact.seq, route.value.query)} rowClass=${(fact) => (String(fact.seq) === id ? "current" : "")}
      empty=${html`<${Empty} title="No event fits" text=${fields.text ? "The text is looked for in what is shown." : "Nothing of this kind happened since the history begins."}
        action=${html`<${Button} onClick=${() => setQuery({ type: null, agent: null, run: null, text: null })}>Clear the filter</>`}/>`}/>`}
    <${Older} of=${{ ...older, there: state.there, further: state.further }} what="events"/>`;
  return html`<${Split} list=${list} label=${`Event ${id}`} onClose=${close} panel=${id && (open ? html`<${Fact} of=${open}/>` : html`<p class="quiet">Event ${id} is not among those that are loaded.</p>`)}/>`;
}

/** The list with newer facts; those that have to make room for them are older ones that can be asked for again. */
function grown(old, fresh) {
  const facts = merge(old.facts, fresh, old.kept);
  return { ...old, facts, there: old.there || facts.length >= old.kept };
}

/** Families, and the exact type that is chosen if it is none of them. */
const kinds = (chosen) => (chosen && !FAMILIES.includes(chosen) ? [chosen, ...FAMILIES] : FAMILIES);

const COLUMNS = [
  { id: "time", title: "Time", width: "92px", card: "end", value: (fact) => fact.seq, cell: (fact) => html`<${Clock} at=${fact.time}/>` },
  { id: "type", title: "Type", width: "minmax(150px, 220px)", card: "status", value: (fact) => fact.type, cell: (fact) => html`<${Badge} tone=${tone(fact.type)}>${fact.type}</>` },
  { id: "message", title: "What happened", width: "minmax(240px, 6fr)", card: "text", cell: (fact) => html`<span title=${oneLine(fact.message, 800)}>${oneLine(fact.message, 260)}</span>` },
  { id: "seq", title: "#", width: "84px", align: "end", hide: 1000, card: false, value: (fact) => fact.seq, cell: (fact) => html`<span class="quiet">${fact.seq}</span>` },
];

function Fact({ of }) {
  const to = leadsTo(of);
  const { agent, run } = of.data ?? {};
  return html`<div class="stack">
    <header><h2><${Badge} tone=${tone(of.type)}>${of.type}</></h2><p class="quiet">${dateTime(of.time)}, <${Time} at=${of.time}/></p></header>
    <p><${Text} of=${of.message} max=${4_000}/></p>
    <${Facts} of=${[["number", count(of.seq)], ["agent", agent && html`<a class="link" href=${href("agents", agent)}>${oneLine(agent)}</a>`],
      ["execution", run && html`<a class="link mono" href=${href("events", null, { tab: "executions", open: run })}>${run}</a>`]]}/>
    ${to && to[0] !== "agents" && to[0] !== "events" && html`<p><a class="link" href=${href(...to)}>Go to it</a></p>`}
    <div class="row"><${Button} onClick=${() => setQuery({ type: of.type })}>Only ${of.type}</>${agent && html`<${Button} onClick=${() => setQuery({ agent })}>Only ${oneLine(agent)}</>`}${run && html`<${Button} onClick=${() => setQuery({ run })}>Only this execution</>`}</div>
    <${Json} of=${of.data ?? {}} label=${`Data of event ${of.seq}`}/>
  </div>`;
}
