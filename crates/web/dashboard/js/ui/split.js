// A list with what is chosen beside it; on a small screen what is chosen takes its place.
import { html, useEffect, useRef } from "../lib/html.js";
import { useKeys } from "../lib/keys.js";
import { Button } from "./button.js";

export function Split({ list, panel, label, onClose }) {
  const place = useRef(null);
  useKeys(panel ? [["escape", `Close: ${label}`, onClose]] : [], { group: "Here" });
  useEffect(() => {
    // Where the list is gone, the keyboard has to go on somewhere.
    if (panel && place.current && matchMedia("(max-width: 1199px)").matches) place.current.focus();
  }, [label]);
  return html`<div class=${panel ? "split split-open" : "split"}>
    <div class="split-list stack">${list}</div>
    ${panel && html`<section class="split-panel card stack" aria-label=${label} tabindex="-1" ref=${place}>
      <div class="split-close"><${Button} kind="quiet" icon="close" title="Close (Esc)" onClick=${onClose}>Close</></div>
      ${panel}
    </section>`}
  </div>`;
}
