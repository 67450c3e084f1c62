// Who is told of what: the targets of notifications, how they do, and a test of them.
import { html, useState } from "../lib/html.js";
import { get, post } from "../lib/api.js";
import { count, ms, plural } from "../lib/format.js";
import { useResource } from "../lib/resource.js";
import { oneLine, Text } from "../lib/text.js";
import { Button } from "../ui/button.js";
import { Empty } from "../ui/empty.js";
import { Facts, Section } from "../ui/page.js";
import { Guard } from "../ui/problem.js";
import { Badge } from "../ui/status.js";
import { Time } from "../ui/time.js";
import { act, toast } from "../ui/toast.js";
import { targetState } from "./settings.data.js";

export default function Notifications() {
  const targets = useResource(({ signal }) => get("/notifications", null, { signal }), [], { on: ["system.notifications.*", "config.reloaded"], every: 5_000 });
  const [results, setResults] = useState({});
  const test = async (name) => {
    const answer = await act(post("/notifications/test", name ? { name } : {}), null, "The test was not sent");
    if (!answer) return;
    setResults((before) => ({ ...before, ...Object.fromEntries(answer.results.map((result) => [result.name, result])) }));
    const failed = answer.results.filter((result) => !result.ok).length;
    toast(failed === 0 ? `${plural(answer.results.length, "test")} arrived` : `${failed} of ${plural(answer.results.length, "test")} did not arrive`, { tone: failed === 0 ? "good" : "bad" });
    targets.reload();
  };
  return html`<${Guard} of=${targets}>${({ targets: all }) => (all.length === 0
    ? html`<${Empty} title="Nobody is told" text="A target is a few lines in werkpilot.toml: [[notify]] with a webhook or a command, and the events that it wants." command="werkpilot schema config"/>`
    : html`<${Section} title="Targets" note=${plural(all.length, "target")} actions=${html`<${Button} needs="operator" onClick=${() => test()}>Test all</>`}>
      <div class="grid-2">${all.map((target) => html`<${Target} key=${target.name} of=${target} result=${results[target.name]} test=${() => test(target.name)}/>`)}</div></>`)}</>`;
}

function Target({ of, result, test }) {
  const { tone, word } = targetState(of);
  return html`<article class="card stack-tight" aria-label=${`Target ${of.name}`}>
    <header class="row"><h3 class="cut">${oneLine(of.name)}</h3><${Badge} tone=${tone}>${word}</><span class="grow"></span><${Button} needs="operator" label=${`Test ${of.name}`} onClick=${test}>Test</></header>
    <p class="mono cut" title=${oneLine(of.to, 300)}>${oneLine(of.to, 160)}</p>
    <p class="quiet">${of.kind}${of.signed ? ", signed" : ""}; wants ${oneLine(of.events.join(", "), 300)}</p>
    <${Facts} of=${[["delivered", count(of.sent)], ["summaries", of.summaries > 0 ? count(of.summaries) : null], ["left out by the rate", of.suppressed > 0 ? count(of.suppressed) : null], ["failed tries", of.failed > 0 ? count(of.failed) : null],
      ["lost", of.dropped > 0 ? count(of.dropped) : null], ["waiting", of.queued > 0 ? count(of.queued) : null], ["delivered last", of.lastSuccess && html`<${Time} at=${of.lastSuccess}/>`], ["next try", of.nextTry && html`<${Time} at=${of.nextTry}/>`]]}/>
    ${of.lastError && html`<p><span class="tone-bad">Went wrong <${Time} at=${of.lastError.at}/>:</span> <${Text} of=${of.lastError.message} max=${400}/></p>`}
    ${result && html`<p role="status" class=${result.ok ? "tone-good" : "tone-bad"}>Test: ${result.ok ? `arrived in ${ms(result.latencyMs)}` : html`<${Text} of=${result.error ?? "did not arrive"} max=${400}/>`}${result.status !== null && result.status !== undefined ? ` (${result.status})` : ""}${result.hint ? html`. <span class="quiet"><${Text} of=${result.hint} max=${400}/></span>` : ""}</p>`}
  </article>`;
}
