// The page: knows the views, loads the one that the address names, and the keys that work everywhere.
import { html, render, signal, useEffect, useErrorBoundary } from "./lib/html.js";
import { begin as beginLive, refreshNow, togglePause } from "./lib/live.js";
import { begin as beginSession, logout, session } from "./lib/session.js";
import { register } from "./lib/keys.js";
import { nextTheme } from "./lib/prefs.js";
import { go, href, route } from "./lib/route.js";
import { Empty, Loading } from "./ui/empty.js";
import { Link } from "./ui/button.js";
import { addCommands, openPalette } from "./ui/palette.js";
import { openHelp } from "./ui/help.js";
import { ProblemView } from "./ui/problem.js";
import { showProblem } from "./ui/toast.js";
import { NAVIGATION, Shell } from "./ui/shell.js";

// `#/agents` and `#/agents/agent-sales` are two views.
const VIEWS = new Set([...NAVIGATION.flat().map(([id]) => id), "executions", "login"]);
const moduleOf = ({ view, id }) => (view === "agents" && id ? "agent" : VIEWS.has(view) ? view : null);

const loaded = signal({ name: null, module: null, problem: null });
const known = new Map();

// A view's style is there before it is shown, so that nothing jumps.
function style(name) {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = new URL(`../css/${name}.css`, import.meta.url).href;
  return new Promise((resolve) => {
    link.onload = resolve;
    link.onerror = resolve;
    document.head.append(link);
  });
}

function load(name) {
  if (!known.has(name)) {
    known.set(name, import(`./views/${name}.js`).then(async (module) => {
      if (module.styles) await style(name);
      return module;
    }));
  }
  return known.get(name);
}

function show(name) {
  if (name === null || loaded.peek().name === name) return;
  load(name).then(
    (module) => { if (moduleOf(route.peek()) === name) loaded.value = { name, module, problem: null }; },
    () => {
      known.delete(name);
      loaded.value = { name, module: null, problem: { title: "This view could not be loaded", detail: "the orchestrator does not answer, or is of another version", hint: "reload the page" } };
    },
  );
}

function titleOf(module, id) {
  return typeof module?.title === "function" ? module.title(id) : module?.title ?? "";
}

function View() {
  const current = route.value;
  const name = moduleOf(current);
  const { name: there, module, problem } = loaded.value;
  const [error, forget] = useErrorBoundary((error) => console.error(error));
  // A list with what is chosen beside it stays as it is when something else is chosen.
  const place = module?.stays && there === name ? name : `${name}/${current.id ?? ""}`;
  useEffect(() => {
    show(name);
    forget();
  }, [name, current.id]);
  useEffect(() => scrollTo(0, 0), [place]);
  useEffect(() => {
    const title = titleOf(module, current.id);
    document.title = title ? `${title} · Werkpilot` : "Werkpilot";
  }, [module, current.id]);
  if (error) return html`<${ProblemView} of=${{ title: "This view failed", detail: String(error?.message ?? error), hint: "reload the page; if it stays, the browser's console says more" }} />`;
  if (name === null) {
    return html`<${Empty} title="There is no such view" text=${`Nothing is at ${href(current.view, current.id)}.`} action=${html`<${Link} href=${href("overview")}>To the overview</${Link}>`} />`;
  }
  if (there === name && problem) return html`<${ProblemView} of=${problem} retry=${() => location.reload()} />`;
  if (there !== name) return html`<${Loading} />`;
  return html`<${module.default} key=${place} id=${current.id} query=${current.query} />`;
}

register([
  [["mod+k"], "Go to or do", () => { openPalette(); }],
], { group: "Everywhere", everywhere: true });
register([
  ["?", "Shortcuts", () => { openHelp(); }],
  ["p", "Pause or go on with live updates", togglePause],
  ["t", "Theme: system, light, dark", nextTheme],
  ...NAVIGATION.flat().map(([view, title, keys]) => [keys, title, () => go(view)]),
  ["escape", "", () => { document.activeElement?.blur?.(); return false; }],
], { group: "Everywhere" });

addCommands(() => [
  ...NAVIGATION.flat().map(([view, title, keys]) => ({ title, hint: keys, run: () => go(view) })),
  { title: "Change the theme", hint: "t", run: nextTheme },
  { title: "Load everything anew", run: refreshNow },
  { title: "Shortcuts", hint: "?", run: openHelp },
  session.peek().role ? { title: "Log out", run: logout } : { title: "Log in", run: () => go("login") },
]);

document.querySelector("[data-skip]").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("main")?.focus();
});

beginSession((problem) => showProblem(problem, "The login did not work"));
beginLive();
show(moduleOf(route.peek()));
const app = document.getElementById("app");
app.replaceChildren();
render(html`<${Shell}><${View} /></${Shell}>`, app);
