// Tokens: who may come in with what, made and revoked. The secret of a new one is shown once.
import { html } from "../lib/html.js";
import { del, get, post } from "../lib/api.js";
import { plural } from "../lib/format.js";
import { useResource } from "../lib/resource.js";
import { oneLine } from "../lib/text.js";
import { Button } from "../ui/button.js";
import { Command } from "../ui/code.js";
import { ask, confirm, openDialog } from "../ui/confirm.js";
import { Empty } from "../ui/empty.js";
import { Section } from "../ui/page.js";
import { Guard } from "../ui/problem.js";
import { Badge } from "../ui/status.js";
import { Table } from "../ui/table.js";
import { Time } from "../ui/time.js";
import { act } from "../ui/toast.js";
import { nameFault, tokens } from "./settings.data.js";

const ROLES = [["viewer", "viewer: sees everything, changes nothing"], ["operator", "operator: runs, stops, replays"], ["admin", "admin: all of it, tokens and reload too"]];
const TONES = { viewer: "off", operator: "busy", admin: "warn" };

export default function Tokens() {
  const all = useResource(({ signal }) => get("/tokens", null, { signal }), [], { every: 10_000 });
  return html`<${Guard} of=${all}>${(data) => html`<${Shown} of=${tokens(data)} reload=${all.reload}/>`}</>`;
}

function Shown({ of, reload }) {
  const good = of.filter((token) => !token.revokedAt);
  const create = async () => {
    const values = await ask({
      title: "Create a token", action: "Create",
      fields: [
        { name: "name", label: "Name", kind: "text", required: true, hint: "whose it is, or what for: letters, digits and - _ . @", check: (value) => nameFault(value, good.map((token) => token.name)) },
        { name: "role", label: "Role", kind: "select", value: "viewer", options: ROLES },
      ],
    });
    if (!values) return;
    const made = await act(post("/tokens", { name: values.name.trim(), role: values.role }), `Token ${values.name.trim()} is made`, "No token was made");
    if (!made) return;
    reload();
    await openDialog((close) => html`<h2>Token ${oneLine(made.name)}</h2>
      <p>This is its secret. It is shown this once; only its hash is kept.</p>
      <${Command} of=${made.token ?? made.secret}/>
      <p class="quiet">Programs send it as <code>Authorization: Bearer …</code>, never in an address.</p>
      <div class="dialog-actions"><${Button} kind="primary" onClick=${() => close(true)}>I have it</></div>`, { label: `Token ${made.name}` });
  };
  const revoke = async (token) => {
    const sure = await confirm({ title: `Revoke the token ${token.name}?`, text: `Whoever uses it is out within seconds, open streams too. It can’t be undone; a new one can be made.`, action: "Revoke", danger: true });
    if (!sure) return;
    await act(() => del(`/tokens/${encodeURIComponent(token.id)}`), `Token ${token.name} is revoked`, "It was not revoked");
    reload();
  };
  const columns = [
    { id: "name", title: "Name", width: "minmax(140px, 2fr)", card: "title", value: (token) => token.name, cell: (token) => html`<span class=${token.revokedAt ? "quiet" : ""}>${oneLine(token.name)}</span>` },
    { id: "role", title: "Role", width: "110px", card: "status", value: (token) => token.role, cell: (token) => html`<${Badge} tone=${token.revokedAt ? "off" : TONES[token.role]}>${token.role}</>` },
    { id: "created", title: "Made", width: "110px", value: (token) => token.createdAt, cell: (token) => html`<${Time} at=${token.createdAt}/>` },
    { id: "by", title: "By", width: "minmax(110px, 1fr)", hide: 900, value: (token) => token.createdBy, cell: (token) => oneLine(token.createdBy ?? "") },
    { id: "used", title: "Used last", width: "120px", value: (token) => token.lastUsedAt, cell: (token) => (token.lastUsedAt ? html`<${Time} at=${token.lastUsedAt}/>` : html`<span class="quiet">never</span>`) },
    { id: "state", title: "State", width: "150px", cell: (token) => (token.revokedAt ? html`<span class="quiet">revoked <${Time} at=${token.revokedAt}/></span>` : html`<${Badge} tone="good">good</>`) },
    { id: "actions", title: "Actions", hiddenTitle: true, width: "100px", align: "end", cell: (token) => (token.revokedAt ? "" : html`<${Button} kind="quiet danger" needs="admin" label=${`Revoke… ${token.name}`} onClick=${() => revoke(token)}>Revoke…</>`) },
  ];
  return html`<${Section} title="Tokens of programs" note=${`${plural(good.length, "token")} in force`} actions=${html`<${Button} kind="primary" needs="admin" onClick=${create}>Create a token…</>`}>
    <${Table} label="Tokens" columns=${columns} rows=${of} rowKey=${(token) => token.id}
      empty=${html`<${Empty} title="No tokens" text="People log in with a link from the server; programs need a token." command="werkpilot login"/>`}/></>`;
}
