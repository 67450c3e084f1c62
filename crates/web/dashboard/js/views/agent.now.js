// Why an agent is as it is, what follows, and how it went lately.
import { html, useMemo } from "../lib/html.js";
import { get, pages } from "../lib/api.js";
import { agents, now } from "../lib/live.js";
import { bytes, ms, plural, words } from "../lib/format.js";
import { href } from "../lib/route.js";
import { useResource } from "../lib/resource.js";
import { Text } from "../lib/text.js";
import { Chart } from "../ui/chart.js";
import { Command, LastWords } from "../ui/code.js";
import { Empty } from "../ui/empty.js";
import { Section } from "../ui/page.js";
import { Guard, Needs } from "../ui/problem.js";
import { Status, endTone } from "../ui/status.js";
import { Timeline } from "../ui/timeline.js";
import { Time } from "../ui/time.js";

const ON = ["agent.>", "execution.>", "dlq.*", "breaker.*", "memory.*", "config.reloaded"];
// Runs that the charts are made of.
const RUNS = 300;

export function Now({ agent }) {
  return html`<${Why} name=${agent.name} />
    <div class="grid-2"><${Dependencies} agent=${agent} /><${Instances} agent=${agent} /></div>
    <${Needs} role="viewer" what="The runs of an agent"><${Lately} agent=${agent} /></${Needs}>
    <${Memory} agent=${agent} />`;
}

function Why({ name }) {
  const why = useResource(({ signal }) => get(`/why/${encodeURIComponent(name)}`, {}, { signal }), [name], { on: ON, every: 5000 });
  return html`<${Section} title="Why"><div class="card"><${Guard} of=${why}>${(data) => html`<div class="why">
    <p class="why-summary"><${Text} of=${data.summary} max=${600} /></p>
    ${data.chain?.length > 0 ? html`<ol class="why-chain">${data.chain.map((cause, at) => html`<${Cause} key=${at} cause=${cause} />`)}</ol>` : null}
    <${LastWords} of=${data.lastWords} />
    ${data.notes?.length > 0 ? html`<ul class="why-chain quiet">${data.notes.map((note, at) => html`<${Cause} key=${at} cause=${note} />`)}</ul>` : null}
    ${data.next?.length > 0 ? html`<div><h3>What follows by itself</h3><ul>${data.next.map((next, at) => html`<li key=${at}><${Text} of=${next.text} max=${300} />${next.at ? html` <span class="quiet"><${Time} at=${next.at} /></span>` : null}${next.condition ? html`<span class="quiet">, ${" "}<${Text} of=${next.condition} max=${200} /></span>` : null}</li>`)}</ul></div>` : null}
    ${data.actions?.length > 0 ? html`<div><h3>What you can do</h3><ul class="why-actions">${data.actions.map((action, at) => html`<li key=${at}><${Command} of=${action.command} /> <span><${Text} of=${action.effect} max=${300} /></span></li>`)}</ul></div>` : null}
  </div>`}</${Guard}></div></${Section}>`;
}

function Cause({ cause }) {
  return html`<li class=${`depth-${Math.min(4, cause.depth)}`}><${Text} of=${cause.text} max=${600} />${cause.at && !/\bago\b/.test(cause.text) ? html` <span class="quiet"><${Time} at=${cause.at} /></span>` : null}
    ${cause.agent ? html` <a class="link" href=${href("agents", cause.agent)}>${cause.agent}</a>` : null}</li>`;
}

function Dependencies({ agent }) {
  const unhealthy = new Map((agent.unhealthyDependencies ?? []).map((one) => [one.dep ?? one.agent, one]));
  const conditions = new Map((agent.spec?.dependencies ?? []).map((one) => [one.agent, one.condition]));
  const line = (name, note) => html`<li key=${name}><a class="link" href=${href("agents", name)}>${name}</a><span class="row">${note}${agents.value.has(name) ? html`<${Status} of=${agents.value.get(name).status} />` : null}</span></li>`;
  return html`<${Section} title="Dependencies" actions=${html`<a class="link" href=${href("graph", agent.name)}>In the graph</a>`}><div class="card stack-tight">
    <h3>Needs</h3>${agent.dependencies.length === 0 ? html`<p class="quiet">Nothing: it starts in the first boot layer.</p>`
      : html`<ul class="links">${agent.dependencies.map((name) => line(name, html`${conditions.get(name) && conditions.get(name) !== "healthy" ? html`<span class="quiet">${conditions.get(name)}</span>` : null}${unhealthy.has(name) ? html`<span class="tone-bad">${words(unhealthy.get(name).reason ?? "unhealthy")}</span>` : null}`))}</ul>`}
    <h3>Is needed by</h3>${(agent.dependents ?? []).length === 0 ? html`<p class="quiet">Nobody.</p>` : html`<ul class="links">${agent.dependents.map((name) => line(name))}</ul>`}
  </div></${Section}>`;
}

function Instances({ agent }) {
  const rows = agent.kind === "service" ? agent.instances ?? [] : agent.live ?? [];
  return html`<${Section} title=${agent.kind === "service" ? "Instances" : "Executions now"}><div class="card">${rows.length === 0
    ? html`<p class="quiet">${agent.kind === "service" ? "None runs." : "None runs or waits."}</p>`
    : html`<ul class="links">${agent.kind === "service" ? rows.map((one) => html`<li key=${one.instance}><span>${one.instance}${one.pid ? html` <span class="quiet">pid ${one.pid}</span>` : null}${one.said ? html` <span class="quiet">“<${Text} of=${one.said} max=${120} />”</span>` : null}
        ${one.reason ? html`<br /><span class="quiet"><${Text} of=${one.reason} max=${200} />${one.nextAttempt ? html`; next attempt <${Time} at=${one.nextAttempt} />` : null}</span>` : null}</span><${Status} of=${one.status} /></li>`)
      : rows.map((one) => html`<li key=${one.run ?? one.runId}><a class="link mono" href=${href("agents", agent.name, { tab: "runs", run: one.run ?? one.runId })}>${String(one.run ?? one.runId).slice(0, 13)}</a>
        <span>${words(one.state ?? one.status ?? "")} ${one.reason ? html`<span class="quiet"><${Text} of=${one.reason.message ?? one.reason.text ?? one.reason} max=${200} /></span>` : null}</span></li>`)}</ul>`}
  </div></${Section}>`;
}

function Lately({ agent }) {
  const runs = useResource(({ signal }) => pages("/executions", { agent: agent.name, limit: RUNS }, "executions", { limit: RUNS, signal }), [agent.name], { on: ["execution.>"], every: 15_000 });
  if (agent.kind === "service") return html`<${Uptime} agent=${agent} />`;
  return html`<${Guard} of=${runs}>${({ entries }) => (entries.length === 0
    ? html`<${Section} title="Runs"><div class="card"><${Empty} title="It has not run yet" text=${agent.nextRun ? "Its next run is planned; “Run now” does not wait for it." : "Nothing has triggered it."} /></div></${Section}>`
    : html`<${Line} agent=${agent} runs=${entries} /><${Latency} agent=${agent} runs=${entries} />`)}</${Guard}>`;
}

const timeOf = (text) => (text ? Date.parse(text) : null);

function Line({ agent, runs }) {
  const to = now.value;
  const oldest = Math.min(...runs.map((run) => timeOf(run.startedAt ?? run.queuedAt ?? run.endedAt) ?? to));
  const from = Math.max(oldest, to - 24 * 3_600_000);
  const live = (agent.live ?? []).filter((one) => one.startedAt);
  const items = runs.map((run) => {
    const end = timeOf(run.endedAt) ?? to;
    return { from: timeOf(run.startedAt) ?? end, to: end, tone: endTone(run.state), title: `${words(run.state)}, ${ms(run.durationMs) || "not started"}${run.reason ? `: ${run.reason}` : ""}`, href: href("agents", agent.name, { tab: "runs", run: run.runId }) };
  }).concat(live.map((one) => ({ from: timeOf(one.startedAt), to, tone: "busy", title: "running" })));
  const margin = Math.max(1000, (to - from) * 0.02);
  return html`<${Section} title="Runs" note=${`the last ${plural(runs.length, "run")}`} actions=${html`<a class="link" href=${href("agents", agent.name, { tab: "runs" })}>All runs</a>`}>
    <div class="card"><${Timeline} label=${`Runs of ${agent.name}`} from=${from - margin} to=${to + margin} now=${to} names=${false} rows=${[{ key: agent.name, title: agent.name, items }]} /></div></${Section}>`;
}

function Latency({ agent, runs }) {
  const { x, series } = useMemo(() => {
    const ended = runs.filter((run) => run.endedAt && run.durationMs !== null).reverse();
    const of = (fits) => ended.map((run) => (fits(run.state) ? run.durationMs : null));
    const out = [{ title: "succeeded", values: of((state) => state === "succeeded"), tone: "accent", points: true }];
    if (ended.some((run) => run.state !== "succeeded")) out.push({ title: "other ends", values: of((state) => state !== "succeeded"), tone: "bad", points: true });
    return { x: ended.map((run) => timeOf(run.endedAt) / 1000), series: out };
  }, [runs]);
  const limits = useMemo(() => [agent.p95 ? { y: agent.p95, text: `p95 ${ms(agent.p95)}`, tone: "quiet" } : null].filter(Boolean), [agent.p95]);
  return html`<${Section} title="Latency" note="the last attempt of each run"><div class="card">${x.length < 2 ? html`<p class="quiet">A line needs two runs that were started.</p>`
    : html`<${Chart} label=${`Duration of the runs of ${agent.name}`} x=${x} series=${series} unit=${ms} limits=${limits} height=${170} />`}</div></${Section}>`;
}

function Uptime({ agent }) {
  const facts = useResource(({ signal }) => get("/events", { agent: agent.name, limit: 200 }, { signal }), [agent.name], { on: ["agent.>"], every: 15_000 });
  return html`<${Section} title="Lately"><div class="card"><${Guard} of=${facts}>${(data) => {
    const list = (data.events ?? []).filter((fact) => !fact.data?.agent || fact.data.agent === agent.name).slice(-12).reverse();
    return list.length === 0 ? html`<p class="quiet">Nothing has happened to it lately.</p>`
      : html`<ul class="facts-list">${list.map((fact) => html`<li key=${fact.seq}><span class="quiet"><${Time} at=${fact.time} /></span><span class="mono">${fact.type}</span><span><${Text} of=${fact.message} max=${300} /></span></li>`)}</ul>`;
  }}</${Guard}></div></${Section}>`;
}

function Memory({ agent }) {
  const history = useResource(({ signal }) => get("/memory/history", { agent: agent.name }, { signal }), [agent.name], { every: 15_000 });
  const { x, series, marks } = useMemo(() => {
    const points = history.data?.points ?? [];
    return {
      x: points.map(([time]) => time / 1000), series: [{ title: "memory", values: points.map(([, value]) => value), tone: "accent", fill: true }],
      marks: (history.data?.marks ?? []).map((mark) => ({ x: timeOf(mark.time) / 1000, text: mark.text, tone: { critical: "bad", warning: "warn", recovered: "good" }[mark.kind] ?? "off" })),
    };
  }, [history.data]);
  const max = agent.spec?.memoryMax ?? agent.spec?.memory_max ?? null;
  const limits = useMemo(() => (typeof max === "number" ? [{ y: max, text: `memory_max ${bytes(max)}`, tone: "bad" }] : []), [max]);
  return html`<${Section} title="Memory" note="its whole process tree, the last two hours"><div class="card"><${Guard} of=${history}>${() => (x.length < 2
    ? html`<p class="quiet">Nothing measured yet: its memory is read while it runs.</p>` : html`<${Chart} label=${`Memory of ${agent.name}`} x=${x} series=${series} marks=${marks} limits=${limits} unit=${bytes} height=${170} />`)}</${Guard}></div></${Section}>`;
}
