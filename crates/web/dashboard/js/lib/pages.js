// A list that the server tells in pages, newest first: what is shown of it once the first page is loaded anew, and once older
// ones are asked for. Nothing is shown twice, and nothing is missing between two that are shown.

/** A page is `{ rows, next }`; `next` is the cursor of the one after it, or null. Only the first page is there. */
export const opened = ({ rows, next }) => ({ rows, next: next ?? null, further: false });

/**
 * The first page came anew: what it pushed off its end stays, if older pages were asked for. Where so much is new that it does
 * not reach down to what was shown, the older pages are let go, as what lies between is not known.
 */
export function renewed(list, first, keyOf) {
  const last = first.rows.at(-1);
  if (!list.further || !last || (first.next ?? null) === null) return opened(first);
  const at = list.rows.findIndex((row) => keyOf(row) === keyOf(last));
  return at < 0 ? opened(first) : { ...list, rows: [...first.rows, ...list.rows.slice(at + 1)] };
}

/** An older page came, asked for with the cursor `from`; it is nothing to a list that has begun anew meanwhile. */
export function extended(list, page, keyOf, from) {
  if (list.next !== from) return list;
  const there = new Set(list.rows.map(keyOf));
  return { rows: [...list.rows, ...page.rows.filter((row) => !there.has(keyOf(row)))], next: page.next ?? null, further: true };
}

/** Another filter: what is there stays in sight until its first page has come, but nothing older is added to it. */
export const outdated = (list) => ({ ...list, next: null, further: false });
