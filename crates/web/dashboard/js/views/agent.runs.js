// The history of an agent, and one run whole: when, why, how, and what it wrote.
import { html } from "../lib/html.js";
import { get, post } from "../lib/api.js";
import { count, dateTime, bytes, ms, plural, words } from "../lib/format.js";
import { setQuery, useQuery } from "../lib/route.js";
import { useResource } from "../lib/resource.js";
import { Text } from "../lib/text.js";
import { Button } from "../ui/button.js";
import { Command, Json } from "../ui/code.js";
import { confirm } from "../ui/confirm.js";
import { Empty } from "../ui/empty.js";
import { Choice, Filter, Filters } from "../ui/filter.js";
import { Logs } from "../ui/logs.js";
import { Older, usePages } from "../ui/older.js";
import { Facts, Section } from "../ui/page.js";
import { Guard } from "../ui/problem.js";
import { End } from "../ui/status.js";
import { Table } from "../ui/table.js";
import { act } from "../ui/toast.js";
import { Time } from "../ui/time.js";

const PAGE = 100;
const ENDS = ["succeeded", "failed", "timed_out", "skipped", "refused", "cancelled", "interrupted", "lost"];

const COLUMNS = [
  { id: "ended", title: "Ended", width: "minmax(110px, 1fr)", card: "title", cell: (run) => (run.endedAt ? html`<${Time} at=${run.endedAt} />` : "not yet") },
  { id: "state", title: "End", width: "110px", card: "status", cell: (run) => html`<${End} of=${run.state} />` },
  { id: "trigger", title: "Trigger", width: "minmax(90px, 1fr)", hide: 720, card: false, cell: (run) => html`<span class="quiet"><${Text} of=${triggerOf(run)} max=${80} /></span>` },
  { id: "duration", title: "Duration", width: "88px", align: "end", cell: (run) => ms(run.durationMs) },
  { id: "waited", title: "Waited", width: "88px", align: "end", hide: 860, card: false, cell: (run) => ms(run.waitedMs) },
  { id: "attempts", title: "Attempts", width: "76px", align: "end", hide: 800, card: false, cell: (run) => count(run.attempts) },
  { id: "reason", title: "Reason", width: "minmax(120px, 3fr)", hide: 760, card: "break", cell: (run) => html`<span title=${run.reason}><${Text} of=${run.reason ?? ""} max=${200} /></span>` },
];

export function triggerOf(run) {
  const { trigger } = run;
  if (!trigger) return "";
  if (typeof trigger === "string") return words(trigger);
  const kind = trigger.kind ?? Object.keys(trigger)[0] ?? "";
  return words(kind) + (trigger.by ? ` by ${trigger.by}` : "");
}

export function Runs({ agent }) {
  const [state, setState] = useQuery("end");
  const [text, setText] = useQuery("q");
  const [run] = useQuery("run");
  const pages = usePages("/executions", {
    query: () => ({ agent: agent.name, state, text, limit: PAGE }), key: JSON.stringify([agent.name, state, text]),
    rows: (page) => page.executions, keyOf: (one) => one.runId, on: ["execution.>"], every: 30_000,
  });
  if (run) return html`<${Run} id=${run} agent=${agent} />`;
  return html`<${Filters}><${Filter} value=${text} onInput=${setText} label="Search reasons and ids" />
      <${Choice} label="End" value=${state} onPick=${setState} options=${[["", "Any end"], ...ENDS.map((end) => [end, words(end)])]} /></${Filters}>
    <${Guard} of=${pages.first}>${() => html`<${Table} label="Runs" columns=${COLUMNS} rows=${pages.rows} rowKey=${(one) => one.runId} onOpen=${(one) => setQuery({ run: one.runId })}
          empty=${html`<${Empty} title=${state || text ? "No run fits" : "It has not run yet"} text=${state || text ? "Other words or any end show more." : "Runs appear here when they have ended."} />`} />
        <${Older} of=${pages} what="runs" />`}</${Guard}>`;
}

function Run({ id, agent }) {
  const run = useResource(({ signal }) => get(`/executions/${encodeURIComponent(id)}`, {}, { signal }), [id], { on: ["execution.>"], every: 10_000 });
  const back = html`<div><${Button} kind="quiet" onClick=${() => setQuery({ run: null })}>← All runs</${Button}></div>`;
  return html`${back}<${Guard} of=${run}>${(data) => {
    const live = data.state === "waiting" || data.state === "running";
    const cancel = async () => {
      if (await confirm({ title: "Cancel this run?", text: "What runs is ended; it is not tried again.", items: [id], action: "Cancel the run", danger: true })) {
        await act(post(`/executions/${encodeURIComponent(id)}/cancel`), "The run is being cancelled", "The run was not cancelled");
        run.reload();
      }
    };
    return html`<${Section} title=${`Run ${id.slice(0, 13)}`} actions=${live ? html`<${Button} needs="operator" kind="danger" onClick=${cancel}>Cancel the run</${Button}>` : null}><div class="card stack">
        <${Facts} of=${[
          ["End", html`<${End} of=${data.state} />`], ["Trigger", html`<${Text} of=${triggerOf(data)} />`], ["Scheduled for", data.scheduledFor ? dateTime(data.scheduledFor) : null],
          ["Queued", data.queuedAt ? dateTime(data.queuedAt) : null], ["Started", data.startedAt ? dateTime(data.startedAt) : null], ["Ended", data.endedAt ? dateTime(data.endedAt) : null],
          ["Waited", ms(data.waitedMs)], ["Duration", ms(data.durationMs)], ["Attempts", plural(data.attempts, "attempt")], ["Peak memory", data.peakMemoryBytes ? bytes(data.peakMemoryBytes) : null], ["Id", html`<span class="mono">${id}</span>`],
          ["Replay of dead letter", data.origin ?? null],
        ]} />
        ${data.reason ? html`<p><b>Why:</b> <${Text} of=${data.reason} max=${1000} /></p>` : null}
        <div class="row"><span class="quiet">The whole chain of causes:</span> <${Command} of=${`werkpilot why ${id}`} /></div>
        ${data.attemptList?.length > 1 ? html`<details><summary>${plural(data.attemptList.length, "attempt")}</summary><${Json} of=${data.attemptList} label="Attempts" /></details>` : null}
      </div></${Section}>
      <${Section} title="Output"><${Logs} agent=${agent.name} run=${id} follow=${live} height=${380} /></${Section}>`;
  }}</${Guard}>`;
}
