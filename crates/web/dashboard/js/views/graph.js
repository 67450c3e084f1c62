// The dependency graph: who needs whom, how they are, what would follow if one stopped, and what the boot waited for.
import { html, useMemo } from "../lib/html.js";
import { get } from "../lib/api.js";
import { ms, plural, words } from "../lib/format.js";
import { agents, overview } from "../lib/live.js";
import { useResource } from "../lib/resource.js";
import { go, href, route, setQuery, useQuery } from "../lib/route.js";
import { oneLine } from "../lib/text.js";
import { Button } from "../ui/button.js";
import { Empty } from "../ui/empty.js";
import { Choice, Filter, Filters } from "../ui/filter.js";
import { Page, Section } from "../ui/page.js";
import { Guard } from "../ui/problem.js";
import { Split } from "../ui/split.js";
import { Status, STATUSES } from "../ui/status.js";
import { Table } from "../ui/table.js";
import { around, bands, chosen, DRAWN_AT_MOST, model, rows } from "./graph.data.js";
import Drawing from "./graph.drawing.js";
import Impact from "./graph.impact.js";

export const title = (id) => (id ? `Around ${id}` : "Graph");
export const styles = true;
export const stays = true;

export default function Graph({ id }) {
  const graph = useResource(({ signal }) => get("/graph", { format: "json" }, { signal }), [], { on: ["config.reloaded", "boot.completed"], every: 30_000 });
  return html`<${Page} title="Graph" lead="Who needs whom. What is on the left starts first." wide>
    <${Guard} of=${graph}>${(data) => html`<${Shown} graph=${data} id=${id}/>`}</>
  </>`;
}

function Shown({ graph, id }) {
  const [text, setText] = useQuery("q");
  const [department, setDepartment] = useQuery("department");
  const [status, setStatus] = useQuery("status");
  const [as, setAs] = useQuery("as");
  const [reach, setReach] = useQuery("reach");
  const live = agents.value;
  const whole = useMemo(() => model(graph), [graph]);
  // How agents are changes often, who needs whom hardly ever: only the former is put in anew.
  const known = useMemo(() => {
    const nodes = new Map();
    for (const [name, node] of whole.nodes) nodes.set(name, { ...node, status: live.get(name)?.status ?? node.status });
    return { ...whole, nodes };
  }, [whole, live]);
  const focus = id && known.nodes.has(id) ? id : null;
  const names = useMemo(() => {
    if (!focus) return chosen(known, { text, department, status });
    const near = around(known, focus, reach === "" ? Infinity : Number(reach));
    return [...known.nodes.keys()].filter((name) => near.has(name));
  }, [known, focus, reach, text, department, status]);
  const pick = (name) => go("graph", name, route.value.query);
  const close = () => go("graph", null, route.value.query);

  if (known.nodes.size === 0) {
    return html`<${Empty} title="No agents" text="The registry is empty. An agent is a few lines of TOML in registry/." command="werkpilot check"/>`;
  }
  const departments = [...new Set([...known.nodes.values()].map((node) => node.department))].sort();
  const many = names.length > DRAWN_AT_MOST;
  const list = html`
    <${Filters}>
      <${Filter} value=${text} onInput=${(value) => { if (focus) close(); setText(value); }} label="Find an agent or a department"/>
      ${!focus && html`<${Choice} label="Department" value=${department} onPick=${setDepartment} options=${[["", "all departments"], ...departments.map((name) => [name, name])]}/>
        <${Choice} label="Status" value=${status} onPick=${setStatus} options=${[["", "any status"], ...STATUSES.map((one) => [one, words(one)])]}/>`}
      ${focus && html`<span class="chip">around <b>${oneLine(focus)}</b> <${Button} kind="quiet" icon="close" label="Show all agents" onClick=${close}/></span>
        <${Choice} label="How far" value=${reach} onPick=${setReach} options=${[["", "all steps"], ["1", "1 step"], ["2", "2 steps"], ["3", "3 steps"]]}/>`}
      <${Choice} label="Shown as" value=${as} onPick=${setAs} options=${[["", "as a drawing"], ["list", "as a list"]]}/>
    </>
    ${id && !focus && html`<p class="banner warn" role="note">There is no agent ${oneLine(id)} any more. <a class="link" href=${href("graph")}>Show all</a></p>`}
    ${names.length === 0
      ? html`<${Empty} title="No agent fits the filter" action=${html`<${Button} onClick=${() => setQuery({ q: null, department: null, status: null })}>Clear the filter</>`}/>`
      : as === "list" ? html`<${List} model=${known} names=${names}/>`
        : many ? html`<${Cells} model=${known} names=${names} onPick=${pick}/>`
          : html`<${Drawing} model=${known} names=${names} focus=${focus} onPick=${pick}/>`}
    <${Boot} path=${known.criticalPath} nodes=${known.nodes}/>`;
  return html`<${Split} list=${list} label=${`If ${focus} stopped`} onClose=${close} panel=${focus && html`<${Impact} key=${focus} name=${focus} node=${known.nodes.get(focus)}/>`}/>`;
}

/** A large fleet: a cell per agent, by layers; a click draws what is around it. */
function Cells({ model: known, names, onPick }) {
  const all = useMemo(() => bands(known, names), [known, names]);
  return html`<div class="card stack bands">
    <p class="quiet">${plural(names.length, "agent")} are too many to draw with their lines: each is a cell here. Choose one to see what is around it.</p>
    ${all.map(({ layer, nodes }) => html`<section key=${layer} aria-label=${`Layer ${layer}`} class="band">
      <h3>Layer ${layer} <span class="quiet">${plural(nodes.length, "agent")}</span></h3>
      <div class="cells">${nodes.map((node) => html`<button key=${node.name} type="button" class=${`cell-${node.status}`} title=${`${node.name}: ${words(node.status)}`}
        aria-label=${`${node.name}, ${words(node.status)}`} onClick=${() => onPick(node.name)}><${Status} of=${node.status}/><span class="cut">${node.name}</span></button>`)}</div>
    </section>`)}
  </div>`;
}

const linked = (all) => html`${all.slice(0, 4).map(({ name }, at) => html`${at > 0 ? ", " : ""}<a class="link" href=${href("graph", name)}>${name}</a>`)}${all.length > 4 ? ` and ${all.length - 4} more` : ""}`;

const COLUMNS = [
  { id: "layer", title: "Layer", width: "64px", align: "end", value: (node) => node.layer, cell: (node) => node.layer },
  { id: "name", title: "Agent", width: "minmax(150px, 1.2fr)", card: "title", value: (node) => node.name, cell: (node) => oneLine(node.name) },
  { id: "status", title: "Status", width: "148px", card: "status", value: (node) => node.status, cell: (node) => html`<${Status} of=${node.status}/>` },
  { id: "needs", title: "Needs", width: "minmax(140px, 2fr)", value: (node) => node.needs.length, cell: (node) => html`<span class="cut">${linked(node.needs)}</span>` },
  { id: "neededBy", title: "Is needed by", width: "minmax(140px, 2fr)", value: (node) => node.neededBy.length, cell: (node) => html`<span class="cut">${linked(node.neededBy)}</span>` },
  { id: "depth", title: "Depth", width: "64px", align: "end", hide: 1000, value: (node) => node.depth, cell: (node) => node.depth },
  { id: "path", title: "Boot path", width: "84px", align: "end", hide: 900, value: (node) => node.onCriticalPath, cell: (node) => (node.onCriticalPath ? `${node.onCriticalPath}.` : "") },
];

function List({ model: known, names }) {
  const all = useMemo(() => rows(known, names), [known, names]);
  return html`<${Table} label="Agents by layer" columns=${COLUMNS} rows=${all} rowKey=${(node) => node.name} href=${(node) => href("graph", node.name, route.value.query)}/>`;
}

function Boot({ path, nodes }) {
  const boot = overview.value?.boot;
  const layers = boot?.layers ?? [];
  if (path.length === 0 && layers.length === 0) return null;
  const late = layers.flatMap((layer) => layer.late ?? []);
  return html`<${Section} title="What the boot waited for" note=${typeof boot?.durationMs === "number" ? `${ms(boot.durationMs)} in ${plural(layers.length, "layer")}` : ""}>
    ${path.length > 0 ? html`<ol class="boot-path">${path.map((name) => html`<li key=${name}><a href=${href("graph", name)}>${oneLine(name)}</a>${nodes.get(name) ? html` <${Status} of=${nodes.get(name).status}/>` : ""}</li>`)}</ol>`
      : html`<p class="quiet">Nothing: no agent had to wait for another one.</p>`}
    ${layers.length > 0 && html`<ul class="boot-layers">${layers.map((layer) => html`<li key=${layer.layer}><span>layer ${layer.layer}</span> <b class="num">${ms(Math.round(layer.ms ?? 0))}</b>${
      layer.late?.length > 0 ? html` <span class="tone-warn">late: ${layer.late.join(", ")}</span>` : ""}</li>`)}</ul>`}
    ${late.length > 0 && html`<p class="quiet">Who was late was not ready within <code>[boot] layer_timeout</code>; the next layer began without it.</p>`}
  </>`;
}
