// Filters of a list. What they say is in the address.
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { useKeys } from "../lib/keys.js";
import { Icon } from "./icon.js";

// A list is filtered a moment after the last key, not at each.
const PAUSE = 120;

export const Filters = ({ label = "Filters", children }) => html`<div class="filters" role="search" aria-label=${label}>${children}</div>`;

export function Filter({ value, onInput, label = "Filter", placeholder }) {
  const box = useRef(null);
  const timer = useRef(null);
  const [text, setText] = useState(value);
  const sent = useRef(value);
  useKeys([["/", "Filter", () => box.current?.focus()]], { group: "This view" });
  // The address changed: a link, or Back.
  useEffect(() => {
    if (value !== sent.current) setText(value);
    sent.current = value;
  }, [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const say = (next) => {
    sent.current = next;
    onInput(next);
  };
  const input = (event) => {
    const next = event.target.value;
    setText(next);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => say(next), PAUSE);
  };
  const keys = (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    if (text === "") box.current.blur();
    else {
      clearTimeout(timer.current);
      setText("");
      say("");
    }
  };
  return html`<label class="filter"><${Icon} of="search" /><span class="hidden-text">${label}</span>
    <input ref=${box} type="text" inputmode="search" value=${text} placeholder=${placeholder ?? label} autocomplete="off" spellcheck=${false} onInput=${input} onKeyDown=${keys} />
    <kbd aria-hidden="true">/</kbd></label>`;
}

export const Choice = ({ label, value, options, onPick }) =>
  html`<span class=${value === "" ? "choice" : "choice chosen"}>
    <select aria-label=${label} value=${value} onChange=${(event) => onPick(event.target.value)}>
      ${options.map(([option, title, number]) => html`<option key=${option} value=${option} selected=${option === value}>${title}${number === undefined ? "" : ` (${number})`}</option>`)}
    </select></span>`;
