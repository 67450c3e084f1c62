// How an agent is set up: every key with its value, and where the value came from.
import { html, useMemo, useState } from "../lib/html.js";
import { get } from "../lib/api.js";
import { useResource } from "../lib/resource.js";
import { Text } from "../lib/text.js";
import { Filter, Filters } from "../ui/filter.js";
import { Empty } from "../ui/empty.js";
import { Badge } from "../ui/status.js";
import { Section } from "../ui/page.js";
import { Guard } from "../ui/problem.js";

// `fleet.toml:12`, `default`, or the variable of the environment.
function Origin({ row }) {
  if (row.source === "default") return html`<span class="quiet">default</span>`;
  const file = String(row.file ?? row.variable ?? row.source);
  return html`<${Badge} tone="busy" title=${file}><${Text} of=${file.split("/").pop()} max=${60} />${row.line ? `:${row.line}` : ""}</${Badge}>`;
}

const written = (value) => (typeof value === "string" ? value : JSON.stringify(value));

export function Config({ agent }) {
  const [text, setText] = useState("");
  const [defaults, setDefaults] = useState(true);
  const config = useResource(({ signal }) => get(`/agents/${encodeURIComponent(agent.name)}/config`, {}, { signal }), [agent.name], { on: ["config.reloaded"] });
  const keys = config.data?.keys ?? [];
  const wanted = text.toLowerCase();
  const rows = useMemo(() => keys.filter((key) => (defaults || key.source !== "default") && `${key.key} ${written(key.value)}`.toLowerCase().includes(wanted)), [keys, wanted, defaults]);
  return html`<${Guard} of=${config}>${(data) => html`<${Section} title="Configuration" note=${data.file ? html`from <code>${data.file}${data.line ? `:${data.line}` : ""}</code>; a change of the file is read by itself` : null}>
    <${Filters}><${Filter} value=${text} onInput=${setText} label="Search keys and values" />
      <label class="check"><input type="checkbox" checked=${defaults} onChange=${(event) => setDefaults(event.target.checked)} /> Defaults too</label></${Filters}>
    ${rows.length === 0 ? html`<${Empty} title="No key fits" text="Other words, or the defaults too, show more." />`
      : html`<div class="card flat"><table class="plain"><thead><tr><th scope="col">Key</th><th scope="col">Value</th><th scope="col">From</th></tr></thead>
      <tbody>${rows.map((row) => html`<tr key=${row.key}><th scope="row"><code>${row.key}</code>${row.effect ? html`<small class="quiet effect" aria-hidden="true"><${Text} of=${row.effect} max=${300} /></small>` : null}</th><td class="mono"><${Text} of=${row.value === null || row.value === undefined ? "none" : written(row.value)} max=${600} /></td>
        <td><${Origin} row=${row} /></td></tr>`)}</tbody></table></div>`}
  </${Section}>`}</${Guard}>`;
}
