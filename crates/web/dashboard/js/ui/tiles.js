// Numbers that say how it is, each with what it is measured against.
import { html } from "../lib/html.js";

export const Tiles = ({ label, children }) => html`<div class="tiles" role="list" aria-label=${label}>${children}</div>`;

export function Tile({ label, value, unit, detail, tone, href, meter, children }) {
  const inside = html`<span class="tile-label">${label}</span>
    <span class="tile-value ${tone ? `tone-${tone}` : ""}">${value}${unit ? html`<small>${" "}${unit}</small>` : null}</span>
    ${meter ? html`<${Meter} label=${label} ...${meter} />` : null}
    ${children}
    ${detail ? html`<span class="tile-detail quiet">${detail}</span>` : null}`;
  return html`<div role="listitem" class="tile-place">${href ? html`<a class="tile" href=${href}>${inside}</a>` : html`<div class="tile">${inside}</div>`}</div>`;
}

// A bar against a maximum, with marks for its thresholds.
export function Meter({ label, value, max, marks = [], tone }) {
  const share = (n) => (max > 0 ? Math.min(1, Math.max(0, n / max)) * 100 : 0);
  const reached = [...marks].filter((mark) => mark.tone && value >= mark.at).sort((a, b) => b.at - a.at)[0];
  return html`<svg class="meter" role="img" aria-label=${`${label ?? "value"}: ${Math.round(share(value))} %`} viewBox="0 0 100 6" preserveAspectRatio="none">
    <rect class="meter-ground" width="100" height="6" /><rect class=${`meter-bar tone-mark-${tone ?? reached?.tone ?? "neutral"}`} width=${share(value)} height="6" />
    ${marks.map((mark) => html`<rect class="meter-mark" x=${Math.min(99.2, share(mark.at))} width="0.8" height="6"><title>${mark.title ?? ""}</title></rect>`)}</svg>`;
}
