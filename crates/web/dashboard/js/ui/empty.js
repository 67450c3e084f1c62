// Nothing to show: why, and what would fill it.
import { html, useEffect, useState } from "../lib/html.js";
import { Command } from "./code.js";

export const Empty = ({ title, text, command, action }) =>
  html`<div class="empty"><p class="empty-title">${title}</p>${text ? html`<p class="quiet">${text}</p>` : null}
    ${command ? html`<${Command} of=${command} />` : null}${action ?? null}</div>`;

// Says nothing for a moment: most answers are there before one could read it.
export function Loading({ what = "Loading" }) {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), 300);
    return () => clearTimeout(timer);
  }, []);
  return html`<div class="empty" aria-busy="true">${late ? html`<p class="quiet" role="status">${what}…</p>` : null}</div>`;
}
