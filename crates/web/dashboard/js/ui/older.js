// Older pages of a list: asked for by a button, added below what is shown; a failure leaves what is there and can be tried again.
import { html, useLayoutEffect, useRef, useState } from "../lib/html.js";
import { get, isAborted } from "../lib/api.js";
import { extended, opened, outdated, renewed } from "../lib/pages.js";
import { useResource } from "../lib/resource.js";
import { Button } from "./button.js";
import { ProblemView } from "./problem.js";

const IDLE = { busy: false, problem: null };

// `load({ signal })` gets older ones and keeps them; what was asked for with another `key` comes to nothing.
export function useOlder(load, key) {
  const [state, setState] = useState(IDLE);
  const asked = useRef(null);
  useLayoutEffect(() => {
    asked.current = new AbortController();
    setState(IDLE);
    return () => asked.current.abort();
  }, [key]);
  const more = async () => {
    const { signal } = asked.current;
    setState({ busy: true, problem: null });
    try {
      await load({ signal });
      if (!signal.aborted) setState(IDLE);
    } catch (problem) {
      if (!signal.aborted && !isAborted(problem)) setState({ busy: false, problem });
    }
  };
  return { ...state, more };
}

// A list of the API that is kept fresh at its top. `query()` is asked anew with each page; `key` changes with the filter;
// `rows(page)` are those of an answer as they are shown, `keyOf(row)` tells them apart.
export function usePages(path, { query = () => ({}), key = "", rows, keyOf, on, every }) {
  const kept = useRef({ key, data: undefined, list: opened({ rows: [], next: null }) });
  const first = useResource(({ signal }) => get(path, query(), { signal }), [key], { on, every });
  const page = (data) => ({ rows: rows(data), next: data.next });
  if (kept.current.key !== key) kept.current = { ...kept.current, key, list: outdated(kept.current.list) };
  if (first.data !== undefined && first.data !== kept.current.data) {
    kept.current = { ...kept.current, data: first.data, list: renewed(kept.current.list, page(first.data), keyOf) };
  }
  const older = useOlder(async ({ signal }) => {
    const { next } = kept.current.list;
    const data = await get(path, { ...query(), cursor: next }, { signal });
    if (!signal.aborted) kept.current = { ...kept.current, list: extended(kept.current.list, page(data), keyOf, next) };
  }, key);
  const { list } = kept.current;
  return { first, rows: list.rows, there: list.next !== null, further: list.further, reload: first.reload, ...older };
}

// `of`: what one of the two told; `what`: of what there are older ones, in the plural.
export function Older({ of, what }) {
  if (of.problem) return html`<${ProblemView} of=${of.problem} retry=${of.more} />`;
  if (!of.there) return of.further ? html`<p class="quiet" role="status">There are no older ${what}.</p>` : null;
  return html`<div><${Button} busy=${of.busy} onClick=${of.more}>${of.busy ? "Loading…" : `Older ${what}`}</${Button}></div>`;
}
