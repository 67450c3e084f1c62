// The address: `#/agents/agent-sales?tab=logs`. What filters and selects is in it, so a link shows what one sees.
import { signal } from "./html.js";

function parse(hash) {
  const text = hash.replace(/^#\/?/, "");
  const at = text.indexOf("?");
  const path = at < 0 ? text : text.slice(0, at);
  const [view, ...rest] = path.split("/").map(decode);
  const query = Object.fromEntries(new URLSearchParams(at < 0 ? "" : text.slice(at + 1)));
  return { view: view || "overview", id: rest.join("/") || null, query };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const route = signal(parse(location.hash));
addEventListener("hashchange", () => { route.value = parse(location.hash); });

export function href(view, id, query) {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value !== null && value !== undefined && value !== "") search.set(key, String(value));
  }
  const text = search.toString();
  const path = id === null || id === undefined || id === "" ? view : `${view}/${encodeURIComponent(id)}`;
  return `#/${path}${text ? `?${text}` : ""}`;
}

export function go(view, id, query) {
  location.hash = href(view, id, query);
}

// Changes what is given and keeps the rest; null takes out. Back leaves the view, as the entry is replaced.
export function setQuery(patch) {
  const { view, id, query } = route.peek();
  const next = href(view, id, { ...query, ...patch });
  if (next === location.hash) return;
  history.replaceState(null, "", next);
  route.value = parse(next);
}

export function useQuery(key, fallback = "") {
  const value = route.value.query[key] ?? fallback;
  return [value, (next) => setQuery({ [key]: next === fallback ? null : next })];
}
