// What a person prefers, kept in this browser only.
import { computed, effect, signal } from "./html.js";

function read(name, fallback) {
  try {
    const text = localStorage.getItem(`werkpilot.${name}`);
    return text === null ? fallback : JSON.parse(text);
  } catch {
    return fallback;
  }
}

// A signal that is kept. Without storage it lasts as long as the page.
export function saved(name, fallback) {
  const kept = signal(read(name, fallback));
  let first = true;
  effect(() => {
    const text = JSON.stringify(kept.value);
    if (first) {
      first = false;
      return;
    }
    try {
      localStorage.setItem(`werkpilot.${name}`, text);
    } catch {
      // Storage is full or off.
    }
  });
  return kept;
}

const THEMES = ["auto", "light", "dark"];
const system = matchMedia("(prefers-color-scheme: dark)");
const systemDark = signal(system.matches);
system.addEventListener("change", (event) => { systemDark.value = event.matches; });

export const theme = saved("theme", "auto");
if (!THEMES.includes(theme.value)) theme.value = "auto";
export const resolvedTheme = computed(() => (theme.value === "auto" ? (systemDark.value ? "dark" : "light") : theme.value));
effect(() => {
  if (theme.value === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
});
export const nextTheme = () => { theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length]; };
