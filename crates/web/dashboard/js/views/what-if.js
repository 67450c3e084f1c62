// A simulation: the fleet in virtual time, with another number of workers if one likes.
import { html, useState } from "../lib/html.js";
import { get, isAborted } from "../lib/api.js";
import { clock, count, dateTime, duration, ms, percent, plural } from "../lib/format.js";
import { href, useQuery } from "../lib/route.js";
import { oneLine } from "../lib/text.js";
import { Button } from "../ui/button.js";
import { Chart } from "../ui/chart.js";
import { Empty } from "../ui/empty.js";
import { Section } from "../ui/page.js";
import { ProblemView } from "../ui/problem.js";
import { Badge } from "../ui/status.js";
import { Table } from "../ui/table.js";
import { Tile, Tiles } from "../ui/tiles.js";
import { forecasts, question } from "./schedule.data.js";

/** Executions that are told one by one. */
const TOLD = 500;

export default function WhatIf() {
  const [hours, setHours] = useQuery("ahead", "24");
  const [workers, setWorkers] = useQuery("workers");
  const [agent, setAgent] = useQuery("agent");
  const [state, setState] = useState({ busy: false });

  const simulate = async (event) => {
    event?.preventDefault();
    let query;
    try {
      query = question({ hours, workers, agent });
    } catch (error) {
      setState({ busy: false, wrong: error.message });
      return;
    }
    setState((before) => ({ ...before, busy: true, wrong: null, problem: null }));
    try {
      setState({ busy: false, answer: await get("/simulate", { ...query, timeline: TOLD }) });
    } catch (problem) {
      if (!isAborted(problem)) setState({ busy: false, problem });
    }
  };

  return html`<div class="stack">
    <form class="card row what-if" onSubmit=${simulate}>
      <label>Hours ahead <input type="text" inputmode="decimal" value=${hours} onInput=${(event) => setHours(event.target.value)}/></label>
      <label>Workers <input type="text" inputmode="numeric" placeholder="as now" value=${workers} onInput=${(event) => setWorkers(event.target.value)}/></label>
      <label>Only agent <input type="text" placeholder="all" value=${agent} onInput=${(event) => setAgent(event.target.value)}/></label>
      <${Button} kind="primary" type="submit" busy=${state.busy}>Simulate</>
      ${state.wrong && html`<span class="tone-bad" role="alert">${state.wrong}</span>`}
    </form>
    ${state.problem && html`<${ProblemView} of=${state.problem} retry=${simulate}/>`}
    ${state.answer ? html`<${Answer} of=${state.answer}/>`
      : !state.problem && html`<${Empty} title="Nothing is simulated yet"
        text="The real scheduler decides in virtual time; in the place of each program stands how long it took before. Nothing is started."
        command="werkpilot simulate --to +24h"/>`}
  </div>`;
}

function Answer({ of }) {
  const { totals, waiting, collisions } = of;
  const notRun = totals.skipped + totals.refused + totals.cancelled;
  return html`<div class="stack">
    <${Tiles}>
      <${Tile} label="Executions" value=${count(totals.runs)} detail=${`of ${plural(totals.triggers, "trigger")}`}/>
      <${Tile} label="Fail for good" value=${count(totals.failed + totals.timedOut)} tone=${totals.failed + totals.timedOut > 0 ? "bad" : undefined}/>
      <${Tile} label="Not run" value=${count(notRun)} tone=${notRun > 0 ? "warn" : undefined} detail="skipped, refused or cancelled"/>
      <${Tile} label="Waiting, p95" value=${ms(waiting.p95Ms) || "–"} detail=${`at most ${ms(waiting.maxMs) || "–"}`}/>
      <${Tile} label="Longest queue" value=${count(of.peakQueue?.waiting ?? 0)} detail=${of.peakQueue?.at ? `at ${clock(of.peakQueue.at)}` : ""}/>
      <${Tile} label="Collisions" value=${count(collisions.seconds)} detail=${`with ${plural(of.workers, "worker")}`} tone=${collisions.seconds > 0 ? "warn" : undefined}/>
    </>
    ${of.cutOffAt && html`<p class="banner" role="note">It was cut off at ${dateTime(of.cutOffAt)}: there is too much of it for one simulation. Ask for fewer hours.</p>`}
    ${of.attention.length > 0 && html`<${Section} title="What needs attention" note=${count(of.attention.length)}>
      <ul class="concerns">${of.attention.map((one) => html`<li><${Badge} tone=${one.concern === "not_run" ? "warn" : "bad"}>${one.concern.replaceAll("_", " ")}</> <span>${oneLine(one.text, 400)}</span></li>`)}</ul>
    </>`}
    <${Section} title="Use of the workers, by hours">
      <div class="card"><${Chart} label="Use of the workers by hours" from=${Date.parse(of.hours[0]?.at) / 1_000 - 1_800} to=${Date.parse(of.hours.at(-1)?.at) / 1_000 + 1_800} height=${180} unit=${(value) => percent(value)} bars
        x=${of.hours.map((hour) => Date.parse(hour.at) / 1_000)}
        series=${[{ title: "busy", values: of.hours.map((hour) => hour.utilisation * 100), tone: "busy" }]}
        limits=${[{ y: 100, text: "all workers", tone: "warn" }]}/></div>
    </>
    <${Section} title="By agent"><${Forecasts} of=${of}/></>
    ${of.timeline && html`<${Section} title="One by one" note=${of.timeline.omitted > 0 ? `the first ${count(of.timeline.entries.length)}, ${count(of.timeline.omitted)} more` : count(of.timeline.entries.length)}>
      <${Entries} of=${of.timeline.entries}/></>`}
    <${Section} title="What was assumed"><ul class="assumed quiet">${of.assumptions.map((text) => html`<li>${oneLine(text, 400)}</li>`)}</ul></>
  </div>`;
}

function Forecasts({ of }) {
  const columns = [
    { id: "agent", title: "Agent", width: "minmax(150px, 1.4fr)", card: "title", value: (row) => row.agent, cell: (row) => oneLine(row.agent) },
    { id: "runs", title: "Runs", width: "80px", align: "end", value: (row) => row.runs, cell: (row) => count(row.runs) },
    { id: "trouble", title: "Trouble", width: "84px", align: "end", value: (row) => row.trouble, cell: (row) => (row.trouble > 0 ? html`<span class="tone-bad">${count(row.trouble)}</span>` : "") },
    { id: "takes", title: "Takes, p95", width: "104px", align: "end", hide: 900, value: (row) => row.takes.p95Ms,
      cell: (row) => html`<span class=${row.takes.known ? "" : "quiet"} title=${row.takes.known ? `of ${plural(row.takes.samples, "execution")}` : "nothing is known of it: assumed"}>${ms(row.takes.p95Ms)}${row.takes.known ? "" : " ?"}</span>` },
    { id: "waiting", title: "Waits, p95", width: "104px", align: "end", hide: 900, value: (row) => row.waiting.p95Ms, cell: (row) => ms(row.waiting.p95Ms) },
    { id: "busy", title: "Busy", width: "96px", align: "end", hide: 1100, value: (row) => row.busyMs, cell: (row) => duration(row.busyMs) },
    { id: "why", title: "Why not run", width: "minmax(180px, 2fr)", hide: 1100, cell: (row) => oneLine(row.notRun.map((one) => `${one.count}× ${one.why}`).join("; ")) },
  ];
  return html`<${Table} label="Forecasts by agent" columns=${columns} rows=${forecasts(of)} rowKey=${(row) => row.agent} href=${(row) => href("agents", row.agent)}
    empty=${html`<${Empty} title="Nobody is due" text="No schedule and no interval comes due in this time."/>`}/>`;
}

function Entries({ of }) {
  const columns = [
    { id: "at", title: "Due", width: "170px", cell: (row) => dateTime(row.scheduledFor ?? row.queuedAt) },
    { id: "agent", title: "Agent", width: "minmax(150px, 1fr)", card: "title", cell: (row) => oneLine(row.agent) },
    { id: "end", title: "End", width: "110px", cell: (row) => html`<${Badge} tone=${row.end === "succeeded" ? "good" : row.end ? "warn" : "off"}>${(row.end ?? "goes on").replaceAll("_", " ")}</>` },
    { id: "waits", title: "Waits", width: "90px", align: "end", cell: (row) => ms(row.waitedMs) },
    { id: "attempts", title: "Attempts", width: "84px", align: "end", hide: 900, cell: (row) => row.attempts },
    { id: "reason", title: "Reason", width: "minmax(140px, 2fr)", hide: 900, cell: (row) => oneLine(typeof row.reason === "string" ? row.reason : (row.reason?.code ?? "")) },
  ];
  const rows = of.map((row, at) => ({ ...row, key: at }));
  return html`<${Table} label="Executions one by one" columns=${columns} rows=${rows} rowKey=${(row) => row.key}/>`;
}
