// The palette: every view, every agent, every action of the view, found by a few letters.
import { html, signal, useEffect, useMemo, useRef, useState } from "../lib/html.js";
import { agentList } from "../lib/live.js";
import { go } from "../lib/route.js";
import { words } from "../lib/format.js";
import { whyNot } from "./button.js";
import { openDialog } from "./confirm.js";
import { statusTone } from "./status.js";

const SHOWN = 50;
const sources = signal([]);
let isOpen = false;

// `source()` gives [{ title, hint, run, needs }]. Returns the undo.
export function addCommands(source) {
  sources.value = [...sources.peek(), source];
  return () => { sources.value = sources.peek().filter((one) => one !== source); };
}

export function useCommands(source) {
  const latest = useRef(source);
  latest.current = source;
  useEffect(() => addCommands(() => latest.current()), []);
}

// All letters in order; the closer together and the nearer to a beginning of a word, the better. 0: does not fit.
export function fit(text, wanted) {
  if (wanted === "") return 1;
  const [a, b] = [text.toLowerCase(), wanted.toLowerCase()];
  const whole = a.indexOf(b);
  if (whole >= 0) return 1000 - whole + (whole === 0 || /[\s_-]/.test(a[whole - 1]) ? 500 : 0) - a.length / 100;
  let [at, points] = [-1, 100];
  for (const letter of b.replaceAll(" ", "")) {
    const next = a.indexOf(letter, at + 1);
    if (next < 0) return 0;
    points -= Math.min(20, next - at - 1);
    at = next;
  }
  return Math.max(1, points);
}

export async function openPalette() {
  if (isOpen) return;
  isOpen = true;
  try {
    const run = await openDialog((close) => html`<${Palette} close=${close} />`, { label: "Go to or do", wide: true });
    run?.();
  } finally {
    isOpen = false;
  }
}

function everything() {
  const commands = sources.peek().flatMap((source) => source());
  const agents = agentList.peek().map((agent) => ({
    title: agent.name, hint: words(agent.status), tone: statusTone(agent.status), run: () => go("agents", agent.name),
  }));
  return [...commands, ...agents];
}

function Palette({ close }) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const all = useMemo(everything, []);
  const found = useMemo(() => {
    const rated = all.map((entry, index) => [fit(entry.title, text.trim()), index, entry]).filter(([points]) => points > 0);
    rated.sort(([a, i], [b, j]) => b - a || i - j);
    return rated.slice(0, SHOWN).map(([, , entry]) => entry);
  }, [text]);
  const list = useRef(null);
  useEffect(() => { list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" }); }, [at, text]);
  const pick = (entry) => { if (entry && !whyNot(entry.needs)) close(entry.run); };
  const keys = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key] ?? (event.ctrlKey ? { n: 1, p: -1 }[event.key] : 0);
    if (step) {
      event.preventDefault();
      if (found.length > 0) setAt((at + step + found.length) % found.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      pick(found[at]);
    }
  };
  return html`<div class="palette"><input type="text" data-focus="" role="combobox" aria-expanded="true" aria-controls="palette-list" aria-label="Go to or do"
      aria-activedescendant=${found.length > 0 ? `palette-${at}` : null} placeholder="Go to a view or an agent, or do something" autocomplete="off" spellcheck=${false}
      value=${text} onInput=${(event) => { setText(event.target.value); setAt(0); }} onKeyDown=${keys} />
    <div id="palette-list" role="listbox" aria-label="Found" ref=${list} tabindex="-1">${found.map((entry, index) =>
      html`<div key=${entry.title + index} id=${`palette-${index}`} role="option" aria-selected=${String(index === at)} aria-disabled=${whyNot(entry.needs) ? "true" : null} title=${whyNot(entry.needs)}
        onClick=${() => pick(entry)} onPointerMove=${() => { if (index !== at) setAt(index); }}><span class="cut">${entry.title}</span>
        <span class=${entry.tone ? `tone-${entry.tone}` : "quiet"}>${entry.hint ?? ""}</span></div>`)}</div>
    ${found.length === 0 ? html`<p class="quiet palette-none" role="status">Nothing fits “${text}”.</p>` : null}</div>`;
}
