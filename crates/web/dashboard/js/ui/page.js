// The frame of a view: its heading, what it is about in a line, its actions; sections; facts; tabs.
import { html, useEffect, useRef } from "../lib/html.js";

export function Page({ title, lead, actions, wide, children }) {
  useEffect(() => {
    const main = document.getElementById("main");
    main?.classList.toggle("wide", Boolean(wide));
    return () => main?.classList.remove("wide");
  }, [wide]);
  return html`<div class="page">
    <header class="page-head"><div class="grow"><h1>${title}</h1>${lead ? html`<p class="quiet">${lead}</p>` : null}</div>
      ${actions ? html`<div class="row">${actions}</div>` : null}</header>
    ${children}</div>`;
}

export const Section = ({ title, note, actions, id, children }) =>
  html`<section id=${id} class="section" aria-label=${title}>
    <header class="section-head"><h2>${title}</h2>${note ? html`<span class="quiet">${note}</span>` : null}
      ${actions ? html`<div class="row end">${actions}</div>` : null}</header>
    ${children}</section>`;

export const Facts = ({ of }) =>
  html`<dl class="facts">${of.filter((fact) => fact && fact[1] !== null && fact[1] !== undefined && fact[1] !== "")
    .map(([name, value, title]) => html`<div key=${name}><dt>${name}</dt><dd title=${title}>${value}</dd></div>`)}</dl>`;

export function Tabs({ of, value, onPick, label }) {
  const list = useRef(null);
  // Where not all have room, the one that is chosen is in sight.
  useEffect(() => {
    const [box, tab] = [list.current, list.current.querySelector("[aria-selected=true]")];
    if (tab && box.scrollWidth > box.clientWidth) box.scrollLeft = tab.offsetLeft - box.offsetLeft - (box.clientWidth - tab.offsetWidth) / 2;
  }, [value]);
  const keys = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = of.findIndex(([id]) => id === value);
    const next = of[(at + step + of.length) % of.length][0];
    onPick(next);
    requestAnimationFrame(() => document.getElementById(`tab-${next}`)?.focus());
  };
  return html`<div class="tabs" ref=${list} role="tablist" aria-label=${label} onKeyDown=${keys}>${of.map(([id, title, number]) =>
    html`<button key=${id} id=${`tab-${id}`} type="button" role="tab" aria-selected=${String(id === value)} tabindex=${id === value ? 0 : -1}
      onClick=${() => onPick(id)}>${title}${number === undefined || number === null || number === "" ? null : html` <span class="tab-count">${number}</span>`}</button>`)}</div>`;
}

// What a tab shows.
export const Panel = ({ id, children }) => html`<div class="stack" role="tabpanel" aria-labelledby=${`tab-${id}`}>${children}</div>`;
