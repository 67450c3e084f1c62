// What stands around every view: navigation, and bars that say when something is not as usual.
import { html, useEffect, useSignal } from "../lib/html.js";
import { connection, now, offlineSince, overview, paused, resume, togglePause, waitingFacts } from "../lib/live.js";
import { logout, may, session } from "../lib/session.js";
import { nextTheme, theme } from "../lib/prefs.js";
import { count, duration, relative, words } from "../lib/format.js";
import { href, route } from "../lib/route.js";
import { Button } from "./button.js";
import { Dialogs } from "./confirm.js";
import { Icon } from "./icon.js";
import { Toasts } from "./toast.js";
import { keyName, openHelp } from "./help.js";
import { openPalette } from "./palette.js";

// [view, title, keys]; a space between two groups.
export const NAVIGATION = [
  [["overview", "Overview", "g o"], ["agents", "Agents", "g a"], ["graph", "Graph", "g g"], ["schedule", "Schedule", "g s"]],
  [["queue", "Queue", "g q"], ["dead-letters", "Dead letters", "g d"], ["bus", "Bus", "g b"], ["memory", "Memory", "g m"], ["events", "Events", "g e"]],
  [["reports", "Reports", "g r"], ["settings", "Settings", "g t"], ["audit", "Audit", "g u"]],
];

const ICONS = { auto: "auto", light: "sun", dark: "moon" };

export function Shell({ children }) {
  const open = useSignal(false);
  const { view } = route.value;
  useEffect(() => { open.value = false; }, [route.value]);
  const small = html`<div class="top"><${Button} kind="quiet icon-only" icon="menu" label="Navigation" aria-expanded=${String(open.value)} onClick=${() => { open.value = true; }} />
    <a class="brand" href=${href("overview")}>Werkpilot</a><${Button} kind="quiet icon-only" icon="search" label="Go to or do" onClick=${openPalette} /></div>`;
  return html`<div class="shell" onKeyDown=${(event) => { if (event.key === "Escape" && open.value) open.value = false; }}>
    ${open.value ? html`<button type="button" class="veil" aria-label="Close the navigation" onClick=${() => { open.value = false; }}></button>` : null}
    <aside class=${open.value ? "side open" : "side"} aria-label="Navigation">
      <a class="brand" href=${href("overview")}><img src=${icon} alt="" width="22" height="22" />Werkpilot</a>
      <button type="button" class="find" onClick=${openPalette}><${Icon} of="search" /><span class="grow">Go to or do</span><kbd>${keyName("mod+k")}</kbd></button>
      <nav aria-label="Views">${NAVIGATION.map((group, at) => html`<ul key=${at}>${group.map(([id, title]) => html`<li key=${id}>
        <a href=${href(id)} aria-current=${view === id ? "page" : null}><${Icon} of=${id} />${title}<${Count} of=${id} /></a></li>`)}</ul>`)}</nav>
      <${Foot} />
    </aside>
    <div class="content"><header class="bars">${small}<${Bars} /></header>
      <main id="main" tabindex="-1">${children}</main></div>
    <${Paused} /><${Toasts} /><${Dialogs} /></div>`;
}

const icon = new URL("../../icon.svg", import.meta.url).href;

// What a view would show if one went there; nothing is nothing to say.
function Count({ of }) {
  const data = overview.value;
  if (!data) return null;
  const [number, tone, what] = {
    overview: [data.attentionTotal ?? data.attention?.length, data.attention?.some((item) => item.severity === "critical") ? "bad" : "warn", "need attention"],
    queue: [data.queue?.waiting, "", "waiting"],
    "dead-letters": [data.deadLetters?.total, "", "kept"],
  }[of] ?? [];
  return number ? html`<span class=${`badge-count tone-${tone}`}>${count(number)}<span class="hidden-text"> ${what}</span></span>` : null;
}

function Foot() {
  const { role } = session.value;
  const name = (session.value.name ?? "").replace(/^(session|token):/, "");
  const system = overview.value?.system;
  const state = connection.value;
  const [tone, text, title] = state === "live" ? ["good", "Live", "the server tells of every change as it happens"]
    : state === "polling" ? ["busy", "Every 2 s", "without a login the page asks every two seconds"] : ["bad", "Not reached", "the orchestrator does not answer"];
  return html`<div class="side-foot">
    <div class="row"><span class="status tone-${tone}" title=${title}><i></i>${text}</span>
      <span class="row tight"><${Button} kind="quiet icon-only" icon=${ICONS[theme.value]} label=${`Theme: ${theme.value}`} title=${`Theme: ${theme.value}`} onClick=${nextTheme} />
      <${Button} kind="quiet icon-only" icon="help" label="Shortcuts" title="Shortcuts (?)" onClick=${openHelp} /></span></div>
    <div class="row">${role ? html`<span class="cut" title=${`${name}, ${role}`}>${name === role ? role : `${name} · ${role}`}</span><${Button} kind="quiet small" onClick=${logout}>Log out</${Button}>`
      : html`<span>Not logged in</span><a class="link" href=${href("login")}>Log in</a>`}</div>
    ${system ? html`<div title=${`Werkpilot ${system.version}`}>${system.version} · up ${duration(system.uptimeSeconds * 1000)}</div>` : null}</div>`;
}

function Bars() {
  const system = overview.value?.system;
  const store = system?.store;
  return html`
    ${offlineSince.value !== null ? html`<div class="bar bad" role="alert"><${Icon} of="warn" /><span class="grow"><b>The orchestrator does not answer</b> since ${relative(offlineSince.value, now.value)}. What you see is from before; this page goes on by itself.</span></div>` : null}
    ${system && system.phase !== "running" && offlineSince.value === null ? html`<div class="bar busy"><span class="grow"><b>${system.phase === "booting" ? "Booting" : words(system.phase)}</b>${system.phase === "booting" ? ": agents are started layer by layer." : ": running agents are being ended."}</span></div>` : null}
    ${system?.paused ? html`<div class="bar warn"><${Icon} of="pause" /><span class="grow"><b>All triggers are paused.</b> Nothing runs but what is started by hand.</span>${may("operator") ? html`<${ResumeTriggers} />` : html`<code>werkpilot resume</code>`}</div>` : null}
    ${store && store.state !== "ok" && store.state !== "none" ? html`<div class="bar bad" role="alert"><${Icon} of="warn" /><span class="grow"><b>The state on disk is ${store.state}.</b> ${store.reason ?? ""} What has to be kept is refused until it is well again.</span></div>` : null}`;
}

// Floats, so that what one reads does not move when it comes and goes.
function Paused() {
  const why = paused.value;
  return html`<div class="pill-place" role="status">${why ? html`<div class="pill"><${Icon} of="pause" /><span class="grow">Live updates are paused: ${why}</span>
    <${Button} kind="small" onClick=${resume} title="p">Go on${waitingFacts.value > 0 ? html` <span class="num">(${count(waitingFacts.value)})</span>` : null}</${Button}></div>` : null}</div>`;
}

function ResumeTriggers() {
  const go = async () => {
    const [{ act }, { post }] = await Promise.all([import("./toast.js"), import("../lib/api.js")]);
    await act(post("/resume"), "Triggers run again", "Triggers are still paused");
  };
  return html`<${Button} kind="small" needs="operator" onClick=${go}>Resume</${Button}>`;
}

export { togglePause };
