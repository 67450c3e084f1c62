// One dead letter with its circumstances: what failed, how often, what it got, what it wrote, and how its surroundings were.
import { html } from "../lib/html.js";
import { bytes, clock, dateTime, ms } from "../lib/format.js";
import { agents } from "../lib/live.js";
import { useResource } from "../lib/resource.js";
import { href } from "../lib/route.js";
import { oneLine, Text } from "../lib/text.js";
import { Button } from "../ui/button.js";
import { Code } from "../ui/code.js";
import { Facts } from "../ui/page.js";
import { Guard } from "../ui/problem.js";
import { Status } from "../ui/status.js";
import { Time } from "../ui/time.js";
import { actions, whole } from "./dead-letters.acts.js";
import { facts, payload, possible, pretty } from "./dead-letters.data.js";
import { exit } from "./queue.data.js";

export default function Letter({ id, onChange, onGone }) {
  const letter = useResource(({ signal }) => whole(id, { signal }), [id], { on: ["dlq.>", "execution.>"] });
  return html`<${Guard} of=${letter}>${(data) => html`<${Shown} of=${data} changed=${() => { letter.reload(); onChange(); }} gone=${() => { onGone(); onChange(); }}/>`}</>`;
}

function Shown({ of, changed, gone }) {
  const data = of.executionData ?? {};
  const may = possible(of);
  const then = (done) => (did) => did && done();
  return html`<div class="stack letter">
    <header><h2>Dead letter ${of.id} of <a class="link" href=${href("agents", of.agentName)}>${oneLine(of.agentName)}</a></h2>
      <p class="quiet">given up <${Time} at=${of.timestamp}/>, ${dateTime(of.timestamp)}</p></header>
    <p class="letter-error mono"><${Text} of=${of.error} max=${4_000}/></p>
    <div class="row" role="group" aria-label="What is done about it">
      <${Button} kind="primary" needs="operator" icon="restart" disabled=${!may.replay} onClick=${() => actions.replay(of).then(then(changed))}>Replay</>
      <${Button} needs="operator" disabled=${!may.edit} onClick=${() => actions.edit(of).then(then(changed))}>Edit and replay…</>
      ${may.stopWaiting
        ? html`<${Button} needs="operator" onClick=${() => actions.stopWaiting(of).then(then(changed))}>Do not wait any more</>`
        : html`<${Button} needs="operator" disabled=${!may.wait} onClick=${() => actions.whenHealthy(of).then(then(changed))}>Replay when healthy…</>`}
      <${Button} kind="danger" needs="operator" disabled=${!may.discard} onClick=${() => actions.discard(of).then(then(gone))}>Discard…</>
    </div>
    ${of.state === "parked" && html`<p class="banner warn" role="note">Parked: its payload killed its agent ${of.kills} times. It is replayed only if somebody says so.</p>`}
    <${Facts} of=${facts(of).slice(1).map(([name, value]) => [name, html`<${Text} of=${value} max=${600}/>`])}/>
    <p class="row quiet"><a class="link" href=${href("events", null, { tab: "executions", open: of.runId })}>The execution</a> · <a class="link" href=${href("events", null, { run: of.runId })}>its events</a>
      ${of.replayRun && html` · <a class="link" href=${href("events", null, { tab: "executions", open: of.replayRun })}>its last replay</a>`}</p>
    <${Attempts} of=${data.attempts ?? []}/>
    <section class="stack-tight" aria-label="Payload"><h3>Payload${of.payloadBytes ? html` <span class="quiet">${bytes(of.payloadBytes)}</span>` : ""}</h3><${Payload} of=${of}/></section>
    <section class="stack-tight" aria-label="Log"><h3>Last lines of its log</h3>${(data.logTail ?? []).length > 0
      ? html`<${Code} of=${data.logTail.join("\n")} label=${`Last lines of the log of dead letter ${of.id}`}/>`
      : html`<p class="quiet">It wrote nothing.</p>`}</section>
    <${Surroundings} data=${data}/>
  </div>`;
}

function Attempts({ of }) {
  if (of.length === 0) return html`<section class="stack-tight"><h3>Attempts</h3><p class="quiet">No program was started.</p></section>`;
  return html`<section class="stack-tight" aria-label="Attempts"><h3>Attempts</h3><ol class="attempts">${of.map((attempt) => html`<li key=${attempt.attempt}>
    <span class="num">${attempt.attempt}</span><time datetime=${attempt.startedAt} title=${dateTime(attempt.startedAt)}>${clock(attempt.startedAt)}</time>
    <span class="num">${ms(attempt.durationMs)}</span><span>${oneLine(exit(attempt.exit))}</span></li>`)}</ol></section>`;
}

function Payload({ of }) {
  const found = payload(of);
  if (!found) return html`<p class="quiet">${of.payloadBytes ? "It is kept apart, and could not be read." : "It had none."}</p>`;
  const text = found.encoding === "text" ? (pretty(found.text) ?? found.text) : found.text;
  return html`${found.encoding === "base64" && html`<p class="quiet">It is no text; shown as base64.</p>`}<${Code} of=${text} label=${`Payload of dead letter ${of.id}`}/>`;
}

function Surroundings({ data }) {
  const dependencies = data.dependencies ?? [];
  return html`<section class="stack-tight" aria-label="Surroundings"><h3>How its surroundings were</h3>
    <${Facts} of=${[["memory, at most", data.memory?.peakBytes ? bytes(data.memory.peakBytes) : "not seen"],
      ["last health check", data.lastHealthCheck ? dateTime(data.lastHealthCheck) : "none"]]}/>
    ${dependencies.length === 0 ? html`<p class="quiet">It depends on nobody.</p>`
      : html`<ul class="surroundings">${dependencies.map(({ agent, status }) => html`<li key=${agent}><a class="link" href=${href("agents", agent)}>${oneLine(agent)}</a>
        <span class="quiet">was</span> <${Status} of=${status}/>${agents.value.get(agent) && agents.value.get(agent).status !== status
          ? html` <span class="quiet">is now</span> <${Status} of=${agents.value.get(agent).status}/>` : ""}</li>`)}</ul>`}
  </section>`;
}
