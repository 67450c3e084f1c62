// What is in the files against what is in effect: the difference, the faults, and the reload.
import { html } from "../lib/html.js";
import { getTagged, post } from "../lib/api.js";
import { plural } from "../lib/format.js";
import { useResource } from "../lib/resource.js";
import { href } from "../lib/route.js";
import { oneLine, Text } from "../lib/text.js";
import { Button } from "../ui/button.js";
import { confirm } from "../ui/confirm.js";
import { Empty } from "../ui/empty.js";
import { Section } from "../ui/page.js";
import { Guard } from "../ui/problem.js";
import { Badge } from "../ui/status.js";
import { Time } from "../ui/time.js";
import { act } from "../ui/toast.js";
import { plan, planInWords, shown } from "./settings.data.js";

const TONES = { added: "good", removed: "bad", changed: "warn", setting: "busy" };

export default function Reload() {
  const preview = useResource(async ({ signal }) => {
    const { body, etag } = await getTagged("/reload", null, { signal });
    return { ...body, etag };
  }, [], { on: ["config.reloaded", "config.rejected"], every: 5_000 });
  return html`<${Guard} of=${preview}>${(data) => html`<${Shown} preview=${data} reload=${preview.reload}/>`}</>`;
}

function Shown({ preview, reload }) {
  const found = plan(preview);
  const { lastRejected } = preview;
  const apply = async () => {
    const removed = found.rows.filter((row) => row.kind === "removed").length;
    const sure = await confirm({
      title: `Reload: ${planInWords(found)}?`, danger: removed > 0, action: "Reload",
      text: `${removed > 0 ? `${plural(removed, "agent")} will be stopped. ` : ""}A changed service is restarted; a changed job’s run ends as it began. Who is not named goes on, with the same process.`,
      items: found.rows.map((row) => `${row.subject}: ${row.kind === "setting" ? `${shown(row.keys[0]?.before)} → ${shown(row.keys[0]?.after)}` : row.kind}`),
    });
    if (!sure) return;
    await act(post("/reload", {}, { ifMatch: preview.etag }), `Reloaded: ${planInWords(found)}`, "Nothing was reloaded");
    reload();
  };
  return html`<div class="stack">
    ${lastRejected && html`<${Section} title="The last reload was rejected" note=${html`<${Time} at=${lastRejected.time}/>, asked for by ${oneLine(lastRejected.by ?? "nobody", 80)}`}>
      <div class="card stack"><p class="quiet">What was in effect before stays in effect until files without faults are read.</p><${Faults} of=${plan({ faults: lastRejected.faults ?? [] }).faults}/></div></>`}
    ${!found.valid ? html`<${Section} title="The files have faults" note=${plural(found.faults.length, "fault")}><div class="card stack"><p class="quiet">They would be rejected as a whole. Nothing is changed until all of this is mended.</p><${Faults} of=${found.faults}/></div></>`
      : found.rows.length === 0 ? html`<${Empty} title="The files are what is in effect" text="Edit registry/ or werkpilot.toml; what changed is shown here before it is applied." command="werkpilot check"/>`
        : html`<${Section} title="What a reload would change" note=${planInWords(found)} actions=${html`<${Button} kind="primary" needs="admin" onClick=${apply}>Reload…</>`}><${Difference} rows=${found.rows}/></>`}
    ${found.notices.length > 0 && html`<${Section} title="Worth knowing" note=${plural(found.notices.length, "notice")}><div class="card"><${Faults} of=${found.notices}/></div></>`}
  </div>`;
}

function Faults({ of }) {
  return html`<ol class="faults">${of.map((one, at) => html`<li key=${at}>${one.place && html`<span class="mono place">${oneLine(one.place, 300)}</span> `}${one.subject && html`<b>${oneLine(String(one.subject), 80)}</b> `}<${Text} of=${one.text} max=${1_000}/>${
    one.hint && html`<br/><span class="quiet"><${Text} of=${one.hint} max=${600}/></span>`}</li>`)}</ol>`;
}

function Difference({ rows }) {
  return html`<ul class="difference card">${rows.map((row) => html`<li key=${`${row.kind} ${row.subject}`}>
    <div class="row"><${Badge} tone=${TONES[row.kind]}>${row.kind}</>${row.kind === "setting" || row.kind === "added" ? html`<b class="mono">${oneLine(row.subject, 120)}</b>` : html`<a class="link" href=${href("agents", row.subject)}>${oneLine(row.subject, 120)}</a>`}
      ${row.effect && html`<span class="quiet"><${Text} of=${row.effect} max=${400}/></span>`}${row.late && html`<${Badge} tone="warn">after a restart</>`}</div>
    ${row.keys.length > 0 && html`<dl>${row.keys.map((one) => html`<div key=${one.key}>${one.key && html`<dt class="mono">${oneLine(one.key, 120)}</dt>`}<dd class="mono before"><${Text} of=${shown(one.before)} max=${600}/></dd><dd class="mono after"><span aria-hidden="true">→ </span><span class="hidden-text">becomes </span><${Text} of=${shown(one.after)} max=${600}/></dd></div>`)}</dl>`}
  </li>`)}</ul>`;
}
