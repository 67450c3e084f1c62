// What can be pressed. Without the right it stays in sight, off, and says what to do.
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { LOGIN_COMMAND, may, session } from "../lib/session.js";
import { Icon } from "./icon.js";

export function whyNot(role) {
  if (may(role)) return null;
  return session.value.role
    ? `needs the role ${role}; you are ${session.value.role}`
    : `needs a login with the role ${role}: run ${LOGIN_COMMAND} on the server`;
}

export function Button({ onClick, needs, kind = "", icon, title, busy, disabled, type = "button", label, children, ...rest }) {
  const [running, setRunning] = useState(false);
  const alive = useRef(true);
  useEffect(() => () => { alive.current = false; }, []);
  const missing = whyNot(needs);
  const off = Boolean(disabled || missing || busy || running);
  const click = async (event) => {
    if (off) {
      event.preventDefault();
      return;
    }
    const result = onClick?.(event);
    if (typeof result?.then !== "function") return;
    setRunning(true);
    try {
      await result;
    } finally {
      if (alive.current) setRunning(false);
    }
  };
  // Off by aria and not by the attribute, so that the reason can be read and focused.
  return html`<button ...${rest} type=${type} class="button ${kind}" onClick=${click} title=${missing ?? title} aria-label=${label}
    aria-disabled=${off ? "true" : null} aria-busy=${busy || running ? "true" : null}>
    ${icon ? html`<${Icon} of=${icon} />` : null}${children ? html`<span>${children}</span>` : null}</button>`;
}

export const Link = ({ href, kind = "", icon, children, ...rest }) =>
  html`<a ...${rest} class="button ${kind}" href=${href}>${icon ? html`<${Icon} of=${icon} />` : null}<span>${children}</span></a>`;

// A button that opens a list of actions.
export function Menu({ label, title, items, icon = "more", align = "end", kind = "quiet" }) {
  const [open, setOpen] = useState(false);
  const [above, setAbove] = useState(false);
  const box = useRef(null);
  useEffect(() => {
    if (!open) return undefined;
    const list = box.current.querySelector("[role=menu]");
    setAbove(list.getBoundingClientRect().bottom > innerHeight - 8 && box.current.getBoundingClientRect().top > list.offsetHeight);
    list.querySelector("[role=menuitem]")?.focus({ preventScroll: true });
    const away = (event) => { if (!box.current?.contains(event.target)) setOpen(false); };
    document.addEventListener("pointerdown", away);
    return () => document.removeEventListener("pointerdown", away);
  }, [open]);
  const close = () => {
    setOpen(false);
    box.current?.querySelector("button")?.focus({ preventScroll: true });
  };
  const keys = (event) => {
    if (!open) return;
    const all = [...box.current.querySelectorAll("[role=menuitem]")];
    const at = all.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to !== undefined) all[(to + all.length) % all.length]?.focus();
    else if (event.key === "Escape" || event.key === "Tab") close();
    else return;
    event.stopPropagation();
    if (event.key !== "Tab") event.preventDefault();
  };
  const pick = (item) => (event) => {
    event.stopPropagation();
    if (item.disabled || whyNot(item.needs)) return;
    close();
    item.run();
  };
  return html`<span class="menu ${align} ${above ? "above" : ""}" ref=${box} onKeyDown=${keys}>
    <button type="button" class="button ${kind} icon-only" aria-haspopup="menu" aria-expanded=${String(open)} aria-label=${label} title=${title ?? label}
      onClick=${(event) => { event.stopPropagation(); setOpen(!open); }}><${Icon} of=${icon} /></button>
    ${open ? html`<div role="menu" aria-label=${label} class="menu-list">${items.filter(Boolean).map((item) =>
      html`<button type="button" role="menuitem" tabindex="-1" class=${item.danger ? "danger" : ""} title=${whyNot(item.needs) ?? item.why}
        aria-disabled=${item.disabled || whyNot(item.needs) ? "true" : null} onClick=${pick(item)}>${item.title}</button>`)}
      ${items.some((item) => item && whyNot(item.needs)) ? html`<p class="menu-note">${whyNot(items.find((item) => item && whyNot(item.needs)).needs)}</p>` : null}
    </div>` : null}
  </span>`;
}
