// Something loaded from the server for a view: kept while it is loaded anew, reloaded by facts or by the clock, never while
// somebody reads.
import { useEffect, useRef, useState } from "./html.js";
import { isAborted } from "./api.js";
import { onFact, paused } from "./live.js";
import { session } from "./session.js";

// Facts come in bursts; one load a second is enough for a page.
const AT_MOST_EVERY = 1000;

export function useResource(load, deps = [], { on, every } = {}) {
  const [state, setState] = useState({ data: undefined, problem: null, loading: true });
  const latest = useRef(load);
  latest.current = load;
  const reload = useRef(() => {});
  const role = session.value.role;

  useEffect(() => {
    let gone = false;
    let controller = null;
    let timer = null;
    let lastAt = -Infinity;
    let late = false;

    const run = async () => {
      timer = null;
      lastAt = performance.now();
      controller?.abort();
      controller = new AbortController();
      const mine = controller;
      try {
        const data = await latest.current({ signal: mine.signal });
        if (!gone && mine === controller) setState({ data, problem: null, loading: false });
      } catch (problem) {
        if (gone || mine !== controller || isAborted(problem)) return;
        // What was there stays in sight if it is only the connection that is missing.
        setState((before) => ({ data: problem.status === 0 ? before.data : undefined, problem, loading: false }));
      }
    };
    const soon = () => {
      if (gone || timer !== null) return;
      if (paused.peek()) {
        late = true;
        return;
      }
      timer = setTimeout(run, Math.max(0, lastAt + AT_MOST_EVERY - performance.now()));
    };
    reload.current = run;
    setState((before) => ({ ...before, loading: true }));
    run();
    const undo = [
      on ? onFact(on, soon) : null,
      paused.subscribe((is) => {
        if (is || !late) return;
        late = false;
        soon();
      }),
    ];
    const clock = every ? setInterval(() => { if (!document.hidden) soon(); }, every) : null;
    return () => {
      gone = true;
      controller?.abort();
      clearTimeout(timer);
      clearInterval(clock);
      for (const fn of undo) fn?.();
    };
  }, [...deps, role]);

  return { ...state, reload: () => reload.current() };
}
