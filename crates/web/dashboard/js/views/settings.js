// Settings: every threshold with its value, source and effect; what a reload would change; who may come in; who is told.
import { html, useMemo } from "../lib/html.js";
import { get, post } from "../lib/api.js";
import { duration } from "../lib/format.js";
import { overview } from "../lib/live.js";
import { useResource } from "../lib/resource.js";
import { go, useQuery } from "../lib/route.js";
import { oneLine, Text } from "../lib/text.js";
import { Button } from "../ui/button.js";
import { confirm } from "../ui/confirm.js";
import { Empty } from "../ui/empty.js";
import { Choice, Filter, Filters } from "../ui/filter.js";
import { Facts, Page, Section, Tabs } from "../ui/page.js";
import { Guard, Needs } from "../ui/problem.js";
import { Badge } from "../ui/status.js";
import { act } from "../ui/toast.js";
import Notifications from "./settings.notifications.js";
import Reload from "./settings.reload.js";
import Tokens from "./settings.tokens.js";
import { sections } from "./settings.data.js";

export const title = "Settings";
export const styles = true;

const TABS = [["thresholds", "Thresholds"], ["reload", "Reload"], ["notifications", "Notifications"], ["tokens", "Tokens"], ["orchestrator", "Orchestrator"]];

export default function Settings({ id }) {
  const tab = TABS.some(([one]) => one === id) ? id : "thresholds";
  return html`<${Page} title="Settings" lead="The files are the truth; this page shows what is in effect, and what a reload would change.">
    <${Tabs} label="Settings" of=${TABS} value=${tab} onPick=${(next) => go("settings", next === "thresholds" ? null : next)}/>
    ${tab === "reload" ? html`<${Needs} role="viewer" what="what a reload would change"><${Reload}/></>`
      : tab === "notifications" ? html`<${Needs} role="viewer" what="who is told of what"><${Notifications}/></>`
        : tab === "tokens" ? html`<${Needs} role="admin" what="tokens"><${Tokens}/></>`
          : tab === "orchestrator" ? html`<${Orchestrator}/>`
            : html`<${Needs} role="viewer" what="settings"><${Thresholds}/></>`}
  </>`;
}

function Thresholds() {
  const config = useResource(({ signal }) => get("/config", null, { signal }), [], { on: "config.reloaded" });
  return html`<${Guard} of=${config}>${(report) => html`<${Values} report=${report}/>`}</>`;
}

function Values({ report }) {
  const [text, setText] = useQuery("q");
  const [only, setOnly] = useQuery("only");
  const found = useMemo(() => sections(report, { text, set: only === "set" }), [report, text, only]);
  return html`<div class="stack">
    <${Filters}><${Filter} value=${text} onInput=${setText} label="Filter by key, value, source or effect"/>
      <${Choice} label="Which" value=${only} onPick=${setOnly} options=${[["", "all settings"], ["set", "only those that somebody set"]]}/></>
    ${found.length === 0 && html`<${Empty} title="No setting fits the filter" action=${html`<${Button} onClick=${() => { setText(""); setOnly(""); }}>Clear the filter</>`}/>`}
    ${found.map(({ name, rows }) => html`<section key=${name} class="card settings" aria-label=${`[${name}]`}>
      <h2 class="mono">[${name}]</h2>
      <dl>${rows.map((row) => html`<div key=${row.key} class="setting">
        <dt><span class="mono">${row.key.slice(name.length + 1) || row.key}</span></dt>
        <dd class="setting-value mono"><${Text} of=${row.text} max=${400}/></dd>
        <dd class="setting-from">${row.isSet ? html`<${Badge} tone="busy">${oneLine(row.from, 120)}</>` : html`<span class="quiet">default</span>`}</dd>
        <dd class="setting-effect quiet"><${Text} of=${row.effect ?? ""} max=${600}/>${row.applies === "after_restart" && html` <span class="nowrap" title="A reload does not change it; the next start does">· after a restart</span>`}</dd>
      </div>`)}</dl>
    </section>`)}
  </div>`;
}

function Orchestrator() {
  const system = overview.value?.system;
  if (!system) return html`<${Empty} title="Not reached" text="The orchestrator does not answer."/>`;
  const pause = async () => {
    const sure = await confirm({ title: "Pause all triggers?", text: "Schedules, intervals, messages and successes of others start nothing until somebody resumes. What runs goes on, and what is run by hand is run.", action: "Pause all triggers" });
    if (sure) await act(post("/pause"), (answer) => answer?.message, "Triggers were not paused");
  };
  const shutDown = async () => {
    const running = (system.statuses?.running ?? 0) + (system.statuses?.starting ?? 0);
    const sure = await confirm({ title: "Shut down the orchestrator?", danger: true, action: "Shut down",
      text: `Jobs may finish within [shutdown] grace; then all programs are stopped: ${running} run now, ${system.workersBusy} of them hold a worker. This page ends, too. Only somebody on the server can start it again.` });
    if (sure) await act(post("/shutdown"), (answer) => answer?.message, "It was not shut down");
  };
  const { store } = system;
  return html`<div class="stack">
    <${Section} title="Triggers" note=${system.paused ? html`<${Badge} tone="warn">paused</>` : html`<${Badge} tone="good">active</>`}>
      <div class="card row"><p class="grow">${system.paused ? "Nothing starts by itself: schedules, intervals, messages and successes of others wait for maintenance to end." : "Schedules, intervals, messages and successes of others start executions."}</p>
        ${system.paused ? html`<${Button} kind="primary" needs="operator" icon="play" onClick=${() => act(post("/resume"), (answer) => answer?.message, "Triggers were not resumed")}>Resume all triggers</>`
          : html`<${Button} needs="operator" icon="pause" onClick=${pause}>Pause all triggers…</>`}</div></>
    <${Section} title="State on disk" note=${html`<${Badge} tone=${store.state === "ok" || store.state === "none" ? "good" : "bad"}>${store.state === "none" ? "kept nowhere" : store.state}</>`}>
      <div class="card stack">${store.reason && html`<p class="tone-bad"><${Text} of=${store.reason} max=${500}/></p>`}
        <${Facts} of=${[["changes written", store.changes], ["in so many batches", store.batches], ["waiting for the disk", store.waiting], ["refused", store.refused || null], ["dropped", store.dropped || null], ["did not fit", store.conflicts || null]]}/></div></>
    <${Section} title="Process"><div class="card stack"><${Facts} of=${[["version", system.version], ["phase", system.phase.replaceAll("_", " ")], ["up for", duration(system.uptimeSeconds * 1_000)]]}/>
      <div class="row"><${Button} kind="danger" needs="admin" onClick=${shutDown}>Shut down…</></div></div></>
  </div>`;
}
