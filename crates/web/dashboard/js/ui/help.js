// All shortcuts that there are now.
import { html } from "../lib/html.js";
import { shortcuts } from "../lib/keys.js";
import { Button } from "./button.js";
import { openDialog } from "./confirm.js";

const apple = /Mac|iPhone|iPad/.test(navigator.platform);
const NAMES = { "mod+k": apple ? "⌘K" : "Ctrl K", enter: "Enter", escape: "Esc", arrowup: "↑", arrowdown: "↓" };
let isOpen = false;

export const keyName = (keys) => NAMES[keys] ?? keys;

export async function openHelp() {
  if (isOpen) return;
  isOpen = true;
  try {
    await openDialog((close) => html`<${Help} close=${close} />`, { label: "Shortcuts" });
  } finally {
    isOpen = false;
  }
}

function Help({ close }) {
  const groups = new Map();
  for (const { group, keys, title } of shortcuts.value) {
    const entries = groups.get(group) ?? new Map();
    entries.set(title, keys);
    groups.set(group, entries);
  }
  return html`<h2>Shortcuts</h2><div class="help" tabindex="0" role="region" aria-label="All shortcuts" data-focus="">${[...groups].map(([group, entries]) => html`<section key=${group}><h3>${group}</h3><dl>
    ${[...entries].map(([title, keys]) => html`<div key=${title}><dt>${title}</dt><dd>${keys.map((one, at) => html`${at > 0 ? " or " : ""}${keyName(one).split(" ").map((key) => html`<kbd>${key}</kbd>`)}`)}</dd></div>`)}</dl></section>`)}</div>
    <div class="dialog-actions"><${Button} onClick=${() => close()}>Close</${Button}></div>`;
}
