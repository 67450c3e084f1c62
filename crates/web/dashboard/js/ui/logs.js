// What an agent wrote: follow, search, one stream or both. Lines are text, whatever they hold; only those in sight exist.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../lib/html.js";
import { getTagged, isAborted, lines } from "../lib/api.js";
import { saved } from "../lib/prefs.js";
import { session } from "../lib/session.js";
import { dateTime } from "../lib/format.js";
import { Text } from "../lib/text.js";
import { Button } from "./button.js";
import { Empty, Loading } from "./empty.js";
import { Choice, Filter, Filters } from "./filter.js";
import { ProblemView } from "./problem.js";

const FIRST = 500;
const KEPT = 5000;
const OLDER = 2000;
const NOTHING = { lines: [], before: null, kept: KEPT, problem: null, loaded: false };
const ROW = 20;
// A line of a megabyte does not have to be in the page to be seen.
const LONG = 2000;
const wrap = saved("logs.wrap", false);

export function Logs({ agent, run, height = 460, follow: wanted = true }) {
  const [stream, setStream] = useState("");
  const [text, setText] = useState("");
  const [follow, setFollow] = useState(wanted && !run);
  const [state, setState] = useState(NOTHING);
  // Counts what is asked anew after a failure.
  const [again, setAgain] = useState(0);
  const box = useRef(null);
  const [view, setView] = useState({ top: 0, height });
  const stick = useRef(true);
  const role = session.value.role;
  const asked = useRef(null);
  // How far from the end somebody reads: older lines come above, and what is in sight stays where it is.
  const fromEnd = useRef(null);
  const path = `/agents/${encodeURIComponent(agent)}/logs`;
  const query = { text: text || null, stream: stream || null, run: run || null };

  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    let pending = [];
    let frame = 0;
    const flush = () => {
      frame = 0;
      const fresh = pending;
      pending = [];
      setState((old) => {
        const all = [...old.lines, ...fresh];
        // Where the oldest are let go, the place before them is not where the list begins any more.
        return { lines: all.slice(-old.kept), before: all.length > old.kept ? null : old.before, kept: old.kept, problem: null, loaded: true };
      });
    };
    const add = (line) => {
      pending.push(line);
      frame ||= setTimeout(flush, 30);
    };
    asked.current = controller;
    setState(NOTHING);
    stick.current = true;
    const wait = new Promise((resolve) => { setTimeout(resolve, 1000); });
    const read = async () => {
      if (follow) {
        // The answer stays open; an empty log is known to be one after a moment.
        wait.then(() => { if (!signal.aborted) setState((before) => ({ ...before, loaded: true })); });
        const onBefore = (before) => setState((old) => ({ ...old, before }));
        await lines(path, { ...query, lines: FIRST, follow: true }, add, { signal, onBefore });
        if (!signal.aborted) setFollow(false);
        return;
      }
      const { body, before } = await getTagged(path, { ...query, lines: FIRST }, { signal });
      setState({ ...NOTHING, lines: parse(body), before, loaded: true });
    };
    read().catch((problem) => {
      if (!isAborted(problem) && !signal.aborted) setState((before) => ({ ...before, problem, loaded: true }));
    });
    return () => {
      controller.abort();
      clearTimeout(frame);
    };
  }, [agent, run, follow, stream, text, role, again]);

  // While the end is in sight it stays in sight; who scrolls up reads on undisturbed.
  useLayoutEffect(() => {
    if (fromEnd.current !== null && box.current) box.current.scrollTop = box.current.scrollHeight - fromEnd.current;
    else if (stick.current && box.current) box.current.scrollTop = box.current.scrollHeight;
    fromEnd.current = null;
  }, [state.lines, wrap.value]);
  const scroll = () => {
    const { scrollTop, clientHeight, scrollHeight } = box.current;
    stick.current = scrollHeight - scrollTop - clientHeight < ROW * 1.5;
    setView({ top: scrollTop, height: clientHeight });
  };

  const older = async () => {
    const { signal } = asked.current;
    try {
      const { body, before } = await getTagged(path, { ...query, lines: OLDER, before: state.before }, { signal });
      const found = parse(body);
      fromEnd.current = box.current.scrollHeight - box.current.scrollTop;
      stick.current = false;
      setState((old) => (old.before === state.before ? { ...old, lines: [...found, ...old.lines], before, kept: old.kept + found.length, problem: null } : old));
    } catch (problem) {
      if (!isAborted(problem) && !signal.aborted) setState((old) => ({ ...old, problem }));
    }
  };

  const total = state.lines.length;
  const [from, to] = wrap.value ? [Math.max(0, total - 1000), total]
    : [Math.max(0, Math.floor(view.top / ROW) - 20), Math.min(total, Math.ceil((view.top + view.height) / ROW) + 20)];
  const shown = useMemo(() => state.lines.slice(from, to), [state.lines, from, to]);
  const download = () => {
    const content = state.lines.map((line) => `${line.time} ${line.stream} ${line.text}`).join("\n");
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(new Blob([content], { type: "text/plain" })), download: `${agent}.log` });
    link.click();
    URL.revokeObjectURL(link.href);
  };

  return html`<div class="logs">
    <${Filters} label="Log filters"><${Filter} value=${text} onInput=${setText} label="Search the log" />
      <${Choice} label="Stream" value=${stream} onPick=${setStream} options=${[["", "stdout and stderr"], ["stdout", "stdout"], ["stderr", "stderr"]]} />
      <label class="check"><input type="checkbox" checked=${follow} onChange=${(event) => setFollow(event.target.checked)} /> Follow</label>
      <label class="check"><input type="checkbox" checked=${wrap.value} onChange=${(event) => { wrap.value = event.target.checked; }} /> Wrap</label>
      <span class="quiet">${total >= state.kept ? `the last ${total} lines` : `${total} ${total === 1 ? "line" : "lines"}`}</span>
      ${state.before && !wrap.value ? html`<${Button} kind="quiet" onClick=${older}>Older lines</${Button}>` : null}
      <${Button} kind="quiet" onClick=${download} disabled=${total === 0}>Save</${Button}>
    </${Filters}>
    ${state.problem ? html`<${ProblemView} of=${state.problem} retry=${() => setAgain(again + 1)} />` : null}
    ${!state.loaded ? html`<${Loading} />` : total === 0 && !state.problem ? html`<${Empty} title=${text || stream ? "No line fits" : "Nothing written yet"}
        text=${text || stream ? "Other words, or both streams, show more." : follow ? "Lines appear here as they are written to stdout and stderr." : "This shows what the program writes to stdout and stderr."} />` : null}
    <div class=${wrap.value ? "log-lines wrap" : "log-lines"} hidden=${total === 0} style=${{ height: `${height}px` }} ref=${box} onScroll=${scroll} tabindex="0" role="log" aria-live="off" aria-label="Log lines">
      <div class="log-space" style=${wrap.value ? {} : { height: `${total * ROW}px` }}><div style=${wrap.value ? {} : { transform: `translateY(${from * ROW}px)` }}>
        ${shown.map((line, at) => html`<${Line} key=${from + at} line=${line} mark=${text} />`)}</div></div></div>
  </div>`;
}

const parse = (body) => String(body ?? "").split("\n").filter(Boolean).map((line) => JSON.parse(line));

function Line({ line, mark }) {
  return html`<div class=${`log-line ${line.stream}`}><span class="log-time" title=${dateTime(line.time)}>${String(line.time).slice(11, 23).replace("Z", "")}</span>
    <span class="log-stream" title=${line.stream}>${line.stream === "stderr" ? "err" : "out"}</span>
    <span class="log-text"><${Text} of=${line.text} max=${LONG} mark=${mark} />${line.goesOn ? html`<span class="odd">↩</span>` : null}</span></div>`;
}
