// The execution queue: what waits, in its order, and why it is where it is.
import { html, signal, useMemo, useState } from "../lib/html.js";
import { get, post } from "../lib/api.js";
import { count, duration, percent, plural } from "../lib/format.js";
import { overview } from "../lib/live.js";
import { useResource } from "../lib/resource.js";
import { href, useQuery } from "../lib/route.js";
import { oneLine, Text } from "../lib/text.js";
import { Button } from "../ui/button.js";
import { confirm } from "../ui/confirm.js";
import { Empty } from "../ui/empty.js";
import { Choice, Filter, Filters } from "../ui/filter.js";
import { Page } from "../ui/page.js";
import { Guard } from "../ui/problem.js";
import { Badge } from "../ui/status.js";
import { Table } from "../ui/table.js";
import { Tile, Tiles } from "../ui/tiles.js";
import { act } from "../ui/toast.js";
import { causes, figures, label, priority, rows } from "./queue.data.js";
import { forEach, tell } from "./together.js";

export const title = "Queue";
export const styles = true;

export default function Queue() {
  const queue = useResource(({ signal }) => get("/queue", null, { signal }), [], { on: ["execution.*", "triggers.*"], every: 2_000 });
  return html`<${Page} title="Queue" lead="What waits to run, first come first, and why it is not running yet.">
    <${Guard} of=${queue}>${(data) => html`<${Line} queue=${data} reload=${queue.reload}/>`}</>
  </>`;
}

function Line({ queue, reload }) {
  const [text, setText] = useQuery("q");
  const [why, setWhy] = useQuery("why");
  const [selected] = useState(() => signal(new Set()));
  const shown = useMemo(() => rows(queue, { text, why }), [queue, text, why]);
  const reasons = causes(queue);
  const chosen = shown.filter((row) => selected.value.has(row.run));

  const cancel = async (list) => {
    const sure = await confirm({
      title: list.length === 1 ? `Cancel the execution of ${list[0].agent}?` : `Cancel ${plural(list.length, "execution")}?`,
      text: "What was asked for is not done then. It makes no dead letter and is not tried again.",
      items: list.map((row) => `${row.agent}: ${row.asked}`), action: list.length === 1 ? "Cancel execution" : `Cancel ${plural(list.length, "execution")}`, danger: true,
    });
    if (!sure) return;
    if (list.length === 1) {
      await act(post(`/executions/${list[0].run}/cancel`), `The execution of ${list[0].agent} is being cancelled`, "It was not cancelled");
    } else {
      tell(await forEach(list, (row) => post(`/executions/${row.run}/cancel`)), "execution", "being cancelled");
    }
    selected.value = new Set();
    reload();
  };

  return html`<div class="stack">
    <${Figures} queue=${queue}/>
    <${Filters}>
      <${Filter} value=${text} onInput=${setText} label="Filter by agent, trigger, reason or id"/>
      ${reasons.length > 0 && html`<${Choice} label="Because" value=${why} onPick=${setWhy}
        options=${[["", "all reasons", queue.waiting.length], ...reasons.map((cause) => [cause.code, cause.label, cause.count])]}/>`}
      ${chosen.length > 0 && html`<${Button} needs="operator" kind="danger" onClick=${() => cancel(chosen)}>Cancel ${count(chosen.length)}…</>`}
    </>
    <${Table} label="Executions that wait" columns=${columns(cancel)} rows=${shown} rowKey=${(row) => row.run}
      href=${(row) => href("agents", row.agent)} selected=${selected} cardHeight=${104}
      empty=${queue.waiting.length === 0
        ? html`<${Empty} title="Nothing waits" text=${`${plural(queue.workersBusy, "execution")} at work, ${plural(queue.workers - queue.workersBusy, "worker")} free.`}/>`
        : html`<${Empty} title="Nothing that waits fits the filter" text="The filter is in the address; clear it to see everything."
            action=${html`<${Button} onClick=${() => { setText(""); setWhy(""); }}>Clear the filter</>`}/>`}/>
  </div>`;
}

function Figures({ queue }) {
  const { waiting, inLine, parked, longest } = figures(queue);
  const paused = overview.value?.system?.paused;
  return html`<${Tiles}>
    <${Tile} label="Workers" value=${`${queue.workersBusy} / ${queue.workers}`} unit="busy"
      meter=${{ value: queue.workersBusy, max: queue.workers, marks: [] }}/>
    <${Tile} label="Waiting" value=${count(waiting)} detail=${`${count(inLine)} in line, ${count(parked)} for something else`}/>
    <${Tile} label="Waits longest" value=${longest === null ? "–" : duration(longest)} tone=${longest > 300_000 ? "warn" : undefined}/>
    <${Tile} label="Room" value=${percent((100 * (queue.capacity - waiting)) / queue.capacity)} detail=${`${count(waiting)} of ${count(queue.capacity)}`}
      meter=${{ value: waiting, max: queue.capacity, marks: [] }} tone=${waiting >= queue.capacity ? "bad" : undefined}/>
    ${paused && html`<${Tile} label="Triggers" value="Paused" tone="warn" detail="only what is asked for by hand is queued" href=${href("settings", "orchestrator")}/>`}
  </>`;
}

const columns = (cancel) => [
  { id: "position", title: "#", card: false, width: "56px", align: "end", value: (row) => row.position ?? Infinity,
    cell: (row) => (row.position === null ? html`<span class="quiet" title="Not in line: it waits for something else than a worker">–</span>` : row.position) },
  { id: "agent", title: "Agent", width: "minmax(140px, 1.2fr)", card: "title", value: (row) => row.agent, cell: (row) => html`<${Text} of=${row.agent}/>` },
  { id: "why", title: "Because", card: "text", width: "minmax(220px, 2.4fr)", value: (row) => label(row.reason?.code),
    cell: (row) => html`<span title=${row.sentence}>${oneLine(row.sentence)}</span>` },
  { id: "priority", title: "Priority", width: "84px", align: "end", hide: 900, card: "keep", value: (row) => row.effective_priority ?? row.priority,
    cell: (row) => html`<span title=${row.effective_priority !== null && row.effective_priority !== row.priority ? "it has waited so long that it counts more" : undefined}>${priority(row)}</span>` },
  { id: "depth", title: "Depth", card: false, width: "68px", align: "end", hide: 1300, value: (row) => row.depth, cell: (row) => row.depth },
  { id: "attempt", title: "Attempt", card: false, width: "80px", align: "end", hide: 1100, value: (row) => row.attempt, cell: (row) => row.attempt },
  { id: "waits", title: "Waits", width: "88px", align: "end", value: (row) => row.waiting_ms, cell: (row) => duration(row.waiting_ms) },
  { id: "trigger", title: "Asked for", card: false, width: "minmax(130px, 1.2fr)", hide: 1100, value: (row) => row.asked, cell: (row) => html`<${Badge}>${oneLine(row.asked, 60)}</>` },
  { id: "actions", title: "Actions", hiddenTitle: true, width: "92px", align: "end",
    cell: (row) => html`<${Button} kind="quiet" needs="operator" title=${`Cancel the execution of ${row.agent}`} onClick=${() => cancel([row])}>Cancel</>` },
];
