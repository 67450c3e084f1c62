// A console: asks an agent and shows what comes back, or publishes a message.
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { isAborted, post } from "../lib/api.js";
import { clock, ms } from "../lib/format.js";
import { agentList } from "../lib/live.js";
import { useQuery } from "../lib/route.js";
import { oneLine } from "../lib/text.js";
import { Button } from "../ui/button.js";
import { Code } from "../ui/code.js";
import { Facts } from "../ui/page.js";
import { ProblemView } from "../ui/problem.js";
import { Badge } from "../ui/status.js";
import { answered, headers, message, request } from "./bus.data.js";

/** Answers that stay in sight: enough to compare a few. */
const KEPT = 10;

export default function Console() {
  const [mode, setMode] = useQuery("mode", "request");
  const [to, setTo] = useQuery("to");
  const [payload, setPayload] = useState("{}");
  const [timeout, setTimeout] = useState("5");
  const [extra, setExtra] = useState("");
  const [wrong, setWrong] = useState(null);
  const [busy, setBusy] = useState(null);
  const [log, setLog] = useState([]);
  const number = useRef(0);
  useEffect(() => () => busy?.abort(), [busy]);

  const send = async () => {
    let body;
    try {
      body = mode === "request" ? request({ to, payload, timeout }) : message({ to, payload, headers: extra });
      setWrong(null);
    } catch (error) {
      setWrong(error.message);
      return;
    }
    const controller = new AbortController();
    setBusy(controller);
    const entry = { id: (number.current += 1), mode, to: to.trim(), at: Date.now() };
    try {
      entry.answer = await post(`/bus/${mode}`, body, { signal: controller.signal });
    } catch (problem) {
      if (isAborted(problem)) entry.aborted = true;
      else entry.problem = problem;
    }
    entry.took = Date.now() - entry.at;
    setBusy(null);
    setLog((before) => [entry, ...before].slice(0, KEPT));
  };
  const submit = (event) => {
    event.preventDefault();
    if (!busy) send();
  };
  const keys = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit(event);
  };

  return html`<div class="grid-2 console">
    <form class="card stack" aria-label="Console" onSubmit=${submit} onKeyDown=${keys}>
      <fieldset class="row"><legend class="hidden-text">What is sent</legend>
        ${[["request", "Request, and wait for the answer"], ["publish", "Publish a message"]].map(([value, text]) => html`<label class="check"><input type="radio" name="mode" checked=${mode === value} onChange=${() => setMode(value)}/> ${text}</label>`)}
      </fieldset>
      <label class="field">${mode === "request" ? "Agent or subject" : "Subject"}
        <input type="text" class="mono" list="console-agents" value=${to} onInput=${(event) => setTo(event.target.value)} placeholder=${mode === "request" ? "agent-sales or rpc.agent-sales.total" : "orders.created"} autocomplete="off" spellcheck=${false}/></label>
      ${mode === "request" && html`<datalist id="console-agents">${agentList.value.map(({ name }) => html`<option value=${name}></option>`)}</datalist>`}
      <label class="field">Payload <small class="quiet">JSON is sent as such, everything else as text</small>
        <textarea class="mono" rows="8" value=${payload} onInput=${(event) => setPayload(event.target.value)} spellcheck=${false}></textarea></label>
      ${mode === "request"
        ? html`<label class="field">Seconds to wait <input type="text" inputmode="decimal" class="short" value=${timeout} onInput=${(event) => setTimeout(event.target.value)}/></label>`
        : html`<label class="field">Headers <small class="quiet">one a line: Name: value</small><textarea class="mono" rows="2" value=${extra} onInput=${(event) => setExtra(event.target.value)} spellcheck=${false}></textarea></label>`}
      ${wrong && html`<p class="tone-bad" role="alert">${wrong}</p>`}
      <div class="row"><${Button} kind="primary" type="submit" needs="operator" busy=${Boolean(busy)} title="Ctrl+Enter">${mode === "request" ? "Send request" : "Publish"}</>
        ${busy && html`<${Button} onClick=${() => busy.abort()}>Wait no more</>`}
        <span class="quiet">It is sent in the operator's name, and is in the audit log without its payload.</span></div>
    </form>
    <section class="stack" aria-label="Answers" aria-live="polite">
      ${log.length === 0 && html`<div class="card"><p class="quiet">Answers appear here, the newest on top.</p></div>`}
      ${log.map((entry) => html`<${Entry} key=${entry.id} of=${entry}/>`)}
    </section>
  </div>`;
}

function Entry({ of }) {
  const { answer, problem } = of;
  const found = answer && of.mode === "request" ? answered(answer) : null;
  return html`<article class="card stack-tight" aria-label=${`${of.mode} ${of.to}`}>
    <header class="row"><b class="mono cut">${oneLine(of.to)}</b><${Badge} tone=${problem ? "bad" : of.aborted ? "off" : "good"}>${problem ? "failed" : of.aborted ? "not waited for" : of.mode === "request" ? "answered" : "published"}</>
      <span class="grow"></span><span class="quiet num">${ms(answer?.durationMs ?? of.took)}, ${clock(of.at)}</span></header>
    ${problem && html`<${ProblemView} of=${problem}/>`}
    ${found && html`${found.note && html`<p class="quiet">${found.note}</p>`}${found.text && html`<${Code} of=${found.text} label=${`Answer of ${of.to}`}/>`}
      <${Facts} of=${[["from", answer.from], ...headers(answer)]}/>`}
    ${answer && of.mode === "publish" && html`<p class="quiet">The bus took it. Who has subscribed gets it; nobody has to.</p>`}
  </article>`;
}
