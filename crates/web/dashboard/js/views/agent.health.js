// How an agent is as those that depend on it see it, its probes, what will happen, and the requests that it serves.
import { html } from "../lib/html.js";
import { get } from "../lib/api.js";
import { count, duration, ms, words } from "../lib/format.js";
import { useResource } from "../lib/resource.js";
import { Text } from "../lib/text.js";
import { Facts, Section } from "../ui/page.js";
import { Guard } from "../ui/problem.js";
import { Health as Well } from "../ui/status.js";
import { Time } from "../ui/time.js";

const VERDICTS = { healthy: true, unhealthy: false, not_checkable: null };

export function Health({ agent }) {
  const health = useResource(({ signal }) => get(`/agents/${encodeURIComponent(agent.name)}/health`, {}, { signal }), [agent.name], { on: ["agent.>"], every: 5000 });
  return html`<${Guard} of=${health}>${(data) => html`
    <${Section} title="Health"><div class="card stack"><${Facts} of=${[
      ["As dependents see it", html`<${Well} of=${data.healthy} />`],
      ["An overall check now", html`<${Well} of=${VERDICTS[data.now?.verdict]} />${data.now?.text ? html` <span class="quiet"><${Text} of=${data.now.text} max=${300} /></span>` : null}`],
      ["Last look", data.lastHealthCheck ? html`<${Well} of=${data.lastHealthCheck.healthy} /> <span class="quiet"><${Time} at=${data.lastHealthCheck.at} /></span>${data.lastHealthCheck.error ? html` <span class="quiet"><${Text} of=${data.lastHealthCheck.error} max=${300} /></span>` : null}` : html`<span class="quiet">none yet</span>`],
      ["Next overall check", data.nextOverallCheck ? html`<${Time} at=${data.nextOverallCheck} />` : null],
      ["Unhealthy since", data.unhealthySince ? html`<${Time} at=${data.unhealthySince} />` : null],
    ]} />
    ${data.outlook?.length > 0 ? html`<div><h3>What follows by itself</h3><ul>${data.outlook.map((one, at) => html`<li key=${at}><${Text} of=${one.text} max=${300} />${one.at ? html` <span class="quiet"><${Time} at=${one.at} /></span>` : null}</li>`)}</ul></div>` : null}</div></${Section}>
    <${Section} title="Probes">${(data.probes ?? []).length === 0 ? html`<p class="quiet">No probe watches it${agent.kind === "service" ? "; the key health of its registry entry sets one" : ""}.</p>`
      : html`<div class="grid-2">${data.probes.map((probe) => html`<div class="card stack-tight" key=${`${probe.instance}/${probe.kind}`}><div class="row"><h3 class="grow">${words(probe.kind)}${data.probes.length > 1 ? `, instance ${probe.instance}` : ""}</h3><${Well} of=${probe.healthy} /></div>
        ${probe.target ? html`<code><${Text} of=${probe.target} max=${300} /></code>` : null}
        <${Facts} of=${[
          ["Every", duration(probe.intervalMs)], ["Failures in a row", `${probe.failuresInARow} of ${probe.failuresAllowed}`],
          ["Last", probe.last ? html`${probe.last.healthy ? "passed" : "failed"} in ${ms(probe.last.tookMs)} <span class="quiet"><${Time} at=${probe.last.at} /></span>` : "not yet"],
          ["Next", probe.inFlight ? "in flight" : probe.nextAt ? html`<${Time} at=${probe.nextAt} />` : null],
        ]} />${probe.last?.error ? html`<p class="tone-bad"><${Text} of=${probe.last.error} max=${400} /></p>` : null}</div>`)}</div>`}</${Section}>`}</${Guard}>
    <${Section} title="Requests it serves" note="on the bus, in the last hour"><div class="card">${agent.requests ? html`<${Facts} of=${[
      ["Answers", count(agent.requests.count)], ["p50", ms(agent.requests.p50)], ["p95", ms(agent.requests.p95)], ["p99", ms(agent.requests.p99)], ["Mean", ms(agent.requests.avgMs)],
    ]} />` : html`<p class="quiet">It has answered none. Requests to it go to the subject <code>rpc.${agent.name}</code>.</p>`}</div></${Section}>`;
}
