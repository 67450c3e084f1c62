// Questions before something is done: native dialogs, which keep the focus and close with Esc.
import { html, signal, useEffect, useRef, useState } from "../lib/html.js";
import { Text } from "../lib/text.js";
import { Button } from "./button.js";

const open = signal([]);
let next = 1;

// Shows what `content(close)` gives; resolves with what `close` is called with, or undefined when it is dismissed.
export function openDialog(content, { label, wide = false } = {}) {
  return new Promise((resolve) => {
    const id = next++;
    const close = (value) => {
      open.value = open.value.filter((entry) => entry.id !== id);
      resolve(value);
    };
    open.value = [...open.value, { id, content, label, wide, close }];
  });
}

export const Dialogs = () => html`${open.value.map((entry) => html`<${Dialog} key=${entry.id} ...${entry} />`)}`;

function Dialog({ content, label, wide, close }) {
  const box = useRef(null);
  useEffect(() => {
    const dialog = box.current;
    const before = document.activeElement;
    dialog.showModal();
    dialog.querySelector("[data-focus]")?.focus();
    return () => {
      dialog.close();
      if (before?.isConnected) before.focus({ preventScroll: true });
    };
  }, []);
  // A press that begins outside closes; one that only ends there (a selection drawn too far) does not.
  const outside = (event) => { if (event.target === box.current) close(undefined); };
  return html`<dialog ref=${box} class=${wide ? "dialog wide" : "dialog"} aria-label=${label} onPointerDown=${outside}
    onCancel=${(event) => { event.preventDefault(); close(undefined); }}><div class="dialog-body">${content(close)}</div></dialog>`;
}

const SHOWN_ITEMS = 8;

// Resolves with true or false. `items`: what is concerned; the first few are named and the rest counted.
export async function confirm({ title, text, items = [], action = "OK", danger = false }) {
  const answer = await openDialog((close) => html`
    <h2>${title}</h2>
    ${text ? html`<p class="quiet">${text}</p>` : null}
    ${items.length > 0 ? html`<ul class="dialog-items">${items.slice(0, SHOWN_ITEMS).map((item) => html`<li><${Text} of=${item} max=${120} /></li>`)}
      ${items.length > SHOWN_ITEMS ? html`<li class="quiet">and ${items.length - SHOWN_ITEMS} more</li>` : null}</ul>` : null}
    <div class="dialog-actions"><${Button} onClick=${() => close(false)}>Cancel</${Button}>
      <${Button} kind=${danger ? "primary danger" : "primary"} data-focus="" onClick=${() => close(true)}>${action}</${Button}></div>`, { label: title });
  return answer === true;
}

// A form; resolves with its values by name, or null.
export async function ask({ title, text, fields, action = "OK", danger = false, wide = false }) {
  const values = await openDialog((close) => html`<${Form} ...${{ title, text, fields, action, danger, close }} />`, { label: title, wide });
  return values ?? null;
}

const start = (field) => field.value ?? (field.kind === "check" ? false : field.kind === "select" ? field.options?.[0]?.[0] ?? "" : "");

// What is wrong with a value, or null.
function fault(field, value) {
  if (field.required && String(value).trim() === "") return "this is needed";
  if (field.kind === "json" && String(value).trim() !== "") {
    try {
      JSON.parse(value);
    } catch (error) {
      return `this is no JSON: ${error.message}`;
    }
  }
  if (field.kind === "number" && value !== "" && Number.isNaN(Number(value))) return "this is no number";
  return field.check?.(value) ?? null;
}

function Form({ title, text, fields, action, danger, close }) {
  const [values, setValues] = useState(() => Object.fromEntries(fields.map((field) => [field.name, start(field)])));
  const [faults, setFaults] = useState({});
  const submit = (event) => {
    event.preventDefault();
    const found = Object.fromEntries(fields.map((field) => [field.name, fault(field, values[field.name])]).filter(([, text]) => text));
    setFaults(found);
    const first = Object.keys(found)[0];
    if (first) document.getElementById(`field-${first}`)?.focus();
    else close(values);
  };
  const set = (name) => (event) => {
    const value = event.target.type === "checkbox" ? event.target.checked : event.target.value;
    setValues((before) => ({ ...before, [name]: value }));
  };
  return html`<form class="form" onSubmit=${submit} novalidate>
    <h2>${title}</h2>${text ? html`<p class="quiet">${text}</p>` : null}
    ${fields.map((field, at) => html`<${Field} key=${field.name} field=${field} value=${values[field.name]} fault=${faults[field.name]} first=${at === 0} onInput=${set(field.name)} />`)}
    <div class="dialog-actions"><${Button} onClick=${() => close(null)}>Cancel</${Button}>
      <${Button} type="submit" kind=${danger ? "primary danger" : "primary"}>${action}</${Button}></div></form>`;
}

export function Field({ field, value, fault: wrong, first, onInput }) {
  const id = `field-${field.name}`;
  const common = {
    id, name: field.name, value, onInput, "data-focus": first ? "" : null, autocomplete: "off", spellcheck: false,
    "aria-invalid": wrong ? "true" : null, "aria-describedby": wrong || field.hint ? `${id}-hint` : null, placeholder: field.placeholder,
  };
  const hint = html`${wrong ? html`<small class="tone-bad" id=${`${id}-hint`}>${wrong}</small>` : field.hint ? html`<small class="quiet" id=${`${id}-hint`}>${field.hint}</small>` : null}`;
  if (field.kind === "check") {
    return html`<div class="field"><label class="check"><input ...${common} value=${undefined} type="checkbox" checked=${value} onChange=${onInput} onInput=${undefined} /> ${field.label}</label>${hint}</div>`;
  }
  const control = field.kind === "area" || field.kind === "json"
    ? html`<textarea ...${common} rows=${field.rows ?? 8} class="mono"></textarea>`
    : field.kind === "select"
      ? html`<select ...${common} onChange=${onInput}>${field.options.map(([option, name]) => html`<option value=${option} selected=${option === value}>${name}</option>`)}</select>`
      : html`<input ...${common} type=${field.kind === "password" ? "password" : "text"} inputmode=${field.kind === "number" ? "decimal" : null} />`;
  return html`<div class="field"><label for=${id}>${field.label}</label>${control}${hint}</div>`;
}
