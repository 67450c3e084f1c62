// The last ends as a strip of marks, newest at the right: colour and height both tell.
import { html } from "../lib/html.js";

const WORDS = {
  s: ["succeeded", "good"], f: ["failed", "bad"], t: ["timed out", "bad"], k: ["skipped", "off"], r: ["refused", "warn"],
  c: ["cancelled", "off"], i: ["interrupted", "warn"], l: ["lost", "bad"], u: ["ready", "good"], x: ["failed to start or crashed", "bad"], d: ["stopped", "off"],
};
const HEIGHTS = { good: 10, off: 5, warn: 14, bad: 18 };
const STEP = 5;
const HEIGHT = 18;

function said(of) {
  const counts = new Map();
  for (const letter of of) {
    const [word] = WORDS[letter] ?? ["unknown"];
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return [...counts].map(([word, number]) => `${number} ${word}`).join(", ");
}

export function Strip({ of, label, places = 20 }) {
  if (!of) return html`<span class="strip-none quiet" aria-label="never ran">–</span>`;
  const shown = [...of].slice(-places);
  const text = `${label ?? `last ${shown.length}`}: ${said(shown)}; the newest ${WORDS[shown[shown.length - 1]]?.[0] ?? "unknown"}`;
  const from = places - shown.length;
  return html`<svg class="strip" role="img" aria-label=${text} width=${places * STEP - 1} height=${HEIGHT} viewBox=${`0 0 ${places * STEP - 1} ${HEIGHT}`}>
    <title>${text}</title>
    <path class="tone-mark-none" d=${Array.from({ length: from }, (_, at) => `M${at * STEP} ${HEIGHT - 2}h4v2h-4z`).join("")} />
    ${["good", "off", "warn", "bad"].map((tone) => {
      const d = shown.map((letter, at) => {
        if ((WORDS[letter]?.[1] ?? "off") !== tone) return "";
        return `M${(from + at) * STEP} ${HEIGHT - HEIGHTS[tone]}h4v${HEIGHTS[tone]}h-4z`;
      }).join("");
      return d === "" ? null : html`<path class=${`tone-mark-${tone}`} d=${d} />`;
    })}</svg>`;
}
