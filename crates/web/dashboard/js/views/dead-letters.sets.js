// Sets that are being replayed: how far, how fast, and a way to end them.
import { html, useEffect, useRef } from "../lib/html.js";
import { get, post } from "../lib/api.js";
import { plural, words } from "../lib/format.js";
import { useResource } from "../lib/resource.js";
import { oneLine } from "../lib/text.js";
import { Button } from "../ui/button.js";
import { confirm } from "../ui/confirm.js";
import { Section } from "../ui/page.js";
import { Badge } from "../ui/status.js";
import { Time } from "../ui/time.js";
import { act } from "../ui/toast.js";
import { progress, progressInWords, sets } from "./dead-letters.data.js";

/** Sets that are over stay in sight for so long: what came of them is what one waited for. */
const RECENT_MS = 600_000;
const OVER = 2;
const TONES = { running: "busy", finished: "good", stopped: "bad", cancelled: "off" };

export function Sets({ onDone }) {
  const all = useResource(({ signal }) => get("/dead-letters/replay", null, { signal }), [], { on: ["dlq.replayed", "execution.>"], every: 2_000 });
  const known = sets(all.data);
  const busy = known.filter((set) => !set.over).length;
  const over = known.filter((set) => set.over && Date.now() - Date.parse(set.begunAt) < RECENT_MS).slice(0, OVER);
  const shown = [...known.slice(0, busy), ...over];
  const before = useRef(busy);
  useEffect(() => {
    if (before.current > busy) onDone();
    before.current = busy;
  }, [busy]);
  if (shown.length === 0) return null;
  return html`<${Section} title="Replays" note=${busy > 0 ? `${plural(busy, "set")} at work` : "just over"}>
    <ul class="sets card">${shown.map((set) => html`<${Set} key=${set.id} of=${set} reload=${all.reload}/>`)}</ul>
  </>`;
}

function Set({ of, reload }) {
  const cancel = async () => {
    const sure = await confirm({
      title: `Begin no more of the ${plural(of.left, "dead letter")} that are left?`,
      text: `${progressInWords(of)}. What is under way goes on.`, action: "Cancel the rest", danger: true,
    });
    if (!sure) return;
    await act(post(`/dead-letters/replay/${of.id}/cancel`), `Set ${of.id} begins no more`, `Set ${of.id} was not cancelled`);
    reload();
  };
  const done = progress(of);
  return html`<li>
    <span class="nowrap">Set ${of.id} <${Badge} tone=${TONES[of.state]}>${words(of.state)}</></span>
    <progress max="1" value=${done} aria-label=${`Set ${of.id}: ${progressInWords(of)}`}></progress>
    <span class="num">${Math.round(done * 100)} %</span>
    <span>${progressInWords(of)}</span>
    <span class="quiet">${of.perSecond} a second${of.stopAfter ? `, stops after ${plural(of.stopAfter, "failure")}` : ""}; by ${oneLine(of.by, 60)}, <${Time} at=${of.begunAt}/></span>
    ${of.over ? "" : html`<${Button} kind="danger" needs="operator" onClick=${cancel}>Cancel…</>`}
  </li>`;
}
