// Text of machines: commands to copy, JSON, code.
import { html, useState } from "../lib/html.js";
import { Text, visible } from "../lib/text.js";
import { Icon } from "./icon.js";
import { Time } from "./time.js";

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Not on a secure address, or not allowed.
    return false;
  }
}

export function Copy({ of, label = "Copy" }) {
  const [done, setDone] = useState(false);
  const click = async (event) => {
    event.stopPropagation();
    if (!(await copy(of))) return;
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return html`<button type="button" class="button quiet icon-only" aria-label=${done ? "Copied" : label} title=${done ? "Copied" : label} onClick=${click}>
    <${Icon} of=${done ? "check" : "copy"} /></button>`;
}

export const Command = ({ of }) =>
  html`<span class="command"><code>${visible(of)}</code><${Copy} of=${of} label=${`Copy the command ${of}`} /></span>`;

export const Code = ({ of, label, max = 65_536 }) =>
  html`<pre class="code" tabindex="0" role="region" aria-label=${label ?? "Text"}><${Text} of=${of} max=${max} /></pre>`;

export function Json({ of, label }) {
  let text = of;
  if (typeof of !== "string") text = JSON.stringify(of, null, 2);
  else {
    try {
      text = JSON.stringify(JSON.parse(of), null, 2);
    } catch {
      // Text that is no JSON is shown as it is.
    }
  }
  return html`<${Code} of=${text ?? ""} label=${label ?? "JSON"} />`;
}

// A sentence with commands in backquotes.
export const Hint = ({ of }) =>
  html`${String(of ?? "").split("`").map((part, at) => (at % 2 ? html`<code class="inline">${visible(part)}</code>` : html`<${Text} of=${part} />`))}`;

// What a program said before it failed; the server tells it only to who may read its log.
export function LastWords({ of }) {
  if (!of?.text) return null;
  return html`<p class="last-words"><span class="quiet">It wrote last, <${Time} at=${of.at} />:</span> <code><${Text} of=${of.text} max=${240} /></code></p>`;
}
