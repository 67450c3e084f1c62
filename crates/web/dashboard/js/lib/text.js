// Text that others wrote: shown as it is, with everything that would act on a terminal or on the direction of writing made
// visible instead. It reaches the page as text nodes only.
import { html } from "./html.js";

// C0 and C1 but tab and line feed; marks that turn the direction of writing; invisible joiners; line separators; lone surrogates.
const ODD = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const NAMES = { 0x7f: "␡", 0x0d: "␍", 0x1b: "␛" };

function name(character) {
  const code = character.charCodeAt(0);
  if (NAMES[code]) return NAMES[code];
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  return `‹U+${code.toString(16).toUpperCase().padStart(4, "0")}›`;
}

export const visible = (text) => String(text ?? "").replace(ODD, name);

export function oneLine(text, max = 200) {
  const line = visible(text).replace(/\s*[\n\t]+\s*/g, " ⏎ ");
  return line.length > max ? `${line.slice(0, max)}…` : line;
}

// Pieces of a text: [kind, text], kind one of "text", "odd", "mark".
export function pieces(text, mark) {
  const out = [];
  let from = 0;
  const plain = (part) => {
    if (part === "") return;
    if (!mark) {
      out.push(["text", part]);
      return;
    }
    const lower = part.toLowerCase();
    // Lower case of some letters is longer; then places would not fit, and nothing is marked.
    const wanted = lower.length === part.length ? mark.toLowerCase() : null;
    let at = 0;
    for (let found = wanted ? lower.indexOf(wanted) : -1; found >= 0; found = lower.indexOf(wanted, at)) {
      if (found > at) out.push(["text", part.slice(at, found)]);
      out.push(["mark", part.slice(found, found + wanted.length)]);
      at = found + wanted.length;
    }
    if (at < part.length) out.push(["text", part.slice(at)]);
  };
  for (const found of text.matchAll(ODD)) {
    plain(text.slice(from, found.index));
    const last = out[out.length - 1];
    if (last?.[0] === "odd") last[1] += name(found[0]);
    else out.push(["odd", name(found[0])]);
    from = found.index + found[0].length;
  }
  plain(text.slice(from));
  return out;
}

export function Text({ of, max, mark }) {
  const whole = String(of ?? "");
  const cut = max && whole.length > max ? whole.slice(0, max) : whole;
  const parts = pieces(cut, mark);
  const more = whole.length - cut.length;
  return html`${parts.map(([kind, part]) =>
    kind === "text" ? part : kind === "mark" ? html`<mark>${part}</mark>` : html`<span class="odd">${part}</span>`)}${
    more > 0 ? html`<span class="odd">… ${more} more characters</span>` : null}`;
}
