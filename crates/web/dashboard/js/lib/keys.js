// Shortcuts: registered while a view is there, listed in the help, silent while somebody types.
import { signal, useEffect, useRef } from "./html.js";

// [{ group, keys, title }] of what is registered now.
export const shortcuts = signal([]);
const handlers = [];
let pending = "";
let pendingUntil = 0;

const typing = (target) =>
  target instanceof HTMLElement && (target.isContentEditable || /^(TEXTAREA|SELECT)$/.test(target.tagName) ||
    (target.tagName === "INPUT" && !/^(checkbox|radio|button|submit|range)$/.test(target.type)));

function combo(event) {
  const mod = event.metaKey || event.ctrlKey ? "mod+" : "";
  const key = event.key.length === 1 ? event.key : event.key.toLowerCase();
  return mod + (event.altKey ? "alt+" : "") + key;
}

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing) return;
  const pressed = combo(event);
  const inField = typing(event.target);
  const inDialog = document.querySelector("dialog[open]") !== null;
  const sequence = performance.now() < pendingUntil ? `${pending} ${pressed}` : null;
  pending = "";
  for (const wanted of sequence ? [sequence, pressed] : [pressed]) {
    const found = handlers.findLast((entry) => entry.keys.includes(wanted) && (entry.everywhere || (!inField && !inDialog)));
    if (found && found.fn(event) !== false) {
      event.preventDefault();
      return;
    }
  }
  if (!inField && !inDialog && handlers.some((entry) => entry.keys.some((keys) => keys.startsWith(`${pressed} `)))) {
    pending = pressed;
    pendingUntil = performance.now() + 1200;
  }
});

// [[keys or list of keys, title, fn]]; a fn that returns false leaves the key to others. Returns the undo.
export function register(list, { group = "This view", everywhere = false } = {}) {
  const entries = list.map(([keys, title, fn]) => ({ keys: [keys].flat(), title, fn, group, everywhere }));
  handlers.push(...entries);
  publish();
  return () => {
    for (const entry of entries) handlers.splice(handlers.indexOf(entry), 1);
    publish();
  };
}

function publish() {
  shortcuts.value = handlers.filter((entry) => entry.title).map(({ group, keys, title }) => ({ group, keys, title }));
}

// The same while a component is mounted; its functions may change with every render.
export function useKeys(list, options) {
  const latest = useRef(list);
  latest.current = list;
  const shape = list.map(([keys, title]) => `${[keys].flat().join(" | ")}: ${title}`).join("\n");
  useEffect(() => register(list.map(([keys, title], at) => [keys, title, (event) => latest.current[at][2](event)]), options), [shape]);
}
