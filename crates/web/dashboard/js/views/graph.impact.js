// An agent of the graph: how it is, and what would follow if it stopped.
import { html } from "../lib/html.js";
import { get, post } from "../lib/api.js";
import { plural } from "../lib/format.js";
import { agents } from "../lib/live.js";
import { useResource } from "../lib/resource.js";
import { href } from "../lib/route.js";
import { oneLine, Text } from "../lib/text.js";
import { Button, Link } from "../ui/button.js";
import { confirm } from "../ui/confirm.js";
import { Facts } from "../ui/page.js";
import { Guard } from "../ui/problem.js";
import { Status } from "../ui/status.js";
import { act } from "../ui/toast.js";

export default function Impact({ name, node }) {
  const impact = useResource(({ signal }) => get(`/graph/${encodeURIComponent(name)}/impact`, null, { signal }), [name], { on: ["config.reloaded", "agent.>"], every: 15_000 });
  const live = agents.value.get(name);
  return html`<div class="stack impact">
    <header><h2>${oneLine(name)}</h2><p class="row"><${Status} of=${live?.status ?? node.status}/><span class="quiet">${node.kind} of ${oneLine(node.department)}</span></p></header>
    ${live?.reason && html`<p class="quiet"><${Text} of=${live.reason} max=${400}/></p>`}
    <${Facts} of=${[["layer", node.layer], ["depth", node.depth], ["priority", node.priority],
      ["needs", links(node.needs)], ["is needed by", links(node.neededBy)]]}/>
    <section class="stack-tight" aria-label="What would follow"><h3>If it stopped</h3>
      <${Guard} of=${impact}>${({ affected }) => (affected.length === 0
        ? html`<p class="quiet">Nobody else would notice: nobody needs it.</p>`
        : html`<p>${plural(affected.length, "agent")} would be affected.</p><ol class="affected">${affected.map((one) => html`<li key=${one.name}>
          <span class="num quiet" title=${`${plural(one.distance, "step")} away`}>${one.distance}</span>
          <span><a class="link" href=${href("graph", one.name)}>${oneLine(one.name)}</a> <span class="quiet">${one.kind}</span><br/><${Text} of=${one.effect} max=${300}/></span></li>`)}</ol>`)}</>
    </section>
    <div class="row"><${Link} href=${href("agents", name)}>Open the agent</>
      <${Button} kind="danger" needs="operator" onClick=${() => stop(name, impact.data?.affected ?? [])}>Stop…</></div>
  </div>`;
}

const links = (all) => (all.length === 0 ? "nobody" : html`${all.map(({ name, condition }, at) => html`${at > 0 ? ", " : ""}<a class="link" href=${href("graph", name)}>${oneLine(name)}</a>${
  condition && condition !== "healthy" ? html` <span class="quiet">(${condition})</span>` : ""}`)}`);

async function stop(name, affected) {
  const sure = await confirm({
    title: `Stop ${name}?`, action: "Stop", danger: true,
    text: affected.length === 0 ? "It takes no triggers until it is started again. Nobody needs it."
      : `It takes no triggers until it is started again, and ${plural(affected.length, "agent")} would be affected:`,
    items: affected.map((one) => `${one.name}: ${one.effect}`),
  });
  if (sure) await act(post(`/agents/${encodeURIComponent(name)}/stop`), (answer) => answer?.message ?? `${name} is being stopped`, `${name} was not stopped`, { about: `stop ${name}` });
}
