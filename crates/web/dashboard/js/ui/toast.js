// What just happened, in a corner: successes go by themselves, problems stay until they are closed. What is told again about the
// same thing takes the place of what was told before, as a new element, so that screen readers say it.
import { html, signal } from "../lib/html.js";
import { refreshAfter } from "../lib/live.js";
import { added } from "../lib/notices.js";
import { Text } from "../lib/text.js";
import { Icon } from "./icon.js";

const STAYS = 5000;
const shown = signal([]);
let next = 1;

const drop = (id) => { shown.value = shown.value.filter((entry) => entry.id !== id); };

// `about`: what it tells of, such as `run agent-sales`; a newer notice about the same replaces it.
export function toast(text, { tone = "good", detail = "", stay = tone === "bad", about } = {}) {
  const id = next++;
  shown.value = added(shown.value, { id, text, tone, detail, stays: stay, about });
  if (!stay) setTimeout(() => drop(id), STAYS);
  return id;
}

export function showProblem(problem, what) {
  const detail = [what ? problem.detail || problem.message : "", problem.hint].filter(Boolean).join(" · ");
  toast(what ?? (problem.detail || problem.message), { tone: "bad", detail });
}

// Does something that changes something: says that it is done, or why not. Resolves with the answer, or undefined.
export async function act(action, done, what, { about } = {}) {
  try {
    const result = await (typeof action === "function" ? action() : action);
    const text = typeof done === "function" ? done(result) : done ?? result?.message;
    if (text) toast(text, { about });
    refreshAfter();
    return result;
  } catch (problem) {
    showProblem(problem, what);
    return undefined;
  }
}

export const Toasts = () =>
  html`<div class="toasts" role="region" aria-label="Notices"><div aria-live="polite">${shown.value.map(({ id, text, tone, detail, times }) =>
    html`<div class="toast tone-${tone}" key=${id} role=${tone === "bad" ? "alert" : "status"}>
      <${Icon} of=${tone === "bad" ? "warn" : "check"} />
      <div class="grow"><p class="toast-text"><${Text} of=${text} max=${400} />${times > 1 ? html` <span class="quiet">(${times} times)</span>` : null}</p>${detail ? html`<p class="quiet"><${Text} of=${detail} max=${1000} /></p>` : null}</div>
      <button type="button" class="button quiet icon-only" aria-label="Close this notice" onClick=${() => drop(id)}><${Icon} of="close" /></button>
    </div>`)}</div></div>`;
