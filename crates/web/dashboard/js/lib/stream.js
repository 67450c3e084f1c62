// The server's stream of facts (server-sent events), over as many connections as it takes: each goes on after the last event
// that we have, and where that is not known it is told that facts may be missing.
import { address } from "./api.js";

// Refused: asked again after 2 seconds, then later and later.
const LONGEST = 30_000;

/**
 * What to call: `opened(lost)` with whether facts may have been lost, `fact(fact)`, `resync()` where the server says that some
 * are missing, `cut()` when it is interrupted, and `refused()` when the server does not want us.
 */
export function factStream({ opened, fact, resync, cut, refused }) {
  let source = null;
  let retry = null;
  let failures = 0;
  // The last event that we have, as the server names it.
  let last = null;
  let interrupted = false;

  function close() {
    clearTimeout(retry);
    interrupted ||= source !== null;
    source?.close();
    source = null;
  }

  function open() {
    close();
    const mine = new EventSource(address("/events/stream", { after: last }));
    source = mine;
    const on = (kind, fn) => mine.addEventListener(kind, (event) => { if (mine === source) fn(event); });
    const onTold = (kind, fn) => on(kind, (event) => {
      last = event.lastEventId || last;
      fn(event);
    });
    on("open", () => {
      const lost = interrupted && last === null;
      failures = 0;
      interrupted = false;
      opened(lost);
    });
    onTold("fact", (event) => fact(JSON.parse(event.data)));
    onTold("resync", resync);
    on("error", () => {
      interrupted = true;
      cut();
      // The browser gives up where it is refused (too many streams, a server that starts, logged out): we ask again.
      if (mine.readyState !== EventSource.CLOSED) return;
      close();
      failures += 1;
      refused();
      retry = setTimeout(open, Math.min(LONGEST, 1000 * 2 ** failures));
    });
  }

  return {
    open, close,
    isOpen: () => source?.readyState === EventSource.OPEN,
    /** Somebody else may look now: what was seen before is not gone on with. */
    forget() {
      close();
      last = null;
      interrupted = false;
    },
  };
}
