// Requests to our own server: JSON in, JSON out, every failure a Problem that says what to do.

// Why a request failed: what the server's problem document says, or that the server was not reached (status 0).
export class Problem extends Error {
  constructor({ status = 0, title, detail, hint, type, ...more }) {
    super(detail || title || "the request failed");
    this.name = "Problem";
    this.status = status;
    this.title = title || "Problem";
    this.detail = detail || "";
    this.hint = hint || "";
    this.kind = type || "about:blank";
    this.more = more;
  }
}

// The header token of a session; lib/session.js sets it.
let csrf = null;
export const setCsrf = (token) => { csrf = token; };
// What is told of every answer's status: lib/session.js hears of a session that ended.
let heard = () => {};
export const onStatus = (fn) => { heard = fn; };

const BASE = "/api/v1";
// Where the lines before those of an answer are.
const BEFORE = "werkpilot-before";

export function address(path, query) {
  const url = path.startsWith("//") ? path.slice(1) : BASE + path;
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value === null || value === undefined || value === "") continue;
    for (const one of [value].flat()) search.append(key, String(one));
  }
  const text = search.toString();
  return text ? `${url}?${text}` : url;
}

export const isAborted = (error) => error?.name === "AbortError";

async function send(method, path, { query, body, headers, signal } = {}) {
  const all = { accept: "application/json", ...headers };
  if (method !== "GET" && csrf) all["werkpilot-csrf"] = csrf;
  if (body !== undefined) all["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(address(path, query), {
      method, signal, headers: all, cache: "no-cache", credentials: "same-origin",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (isAborted(error)) throw error;
    throw new Problem({
      title: "Not reached", detail: "the orchestrator does not answer",
      hint: "is it running? `werkpilot status` on the server tells; this page goes on by itself once it is back",
    });
  }
  heard(answer.status);
  if (!answer.ok) throw await problemOf(answer);
  return answer;
}

async function problemOf(answer) {
  let document = {};
  try {
    document = await answer.json();
  } catch {
    // A proxy's page, or a cut connection: the status has to do.
  }
  return new Problem({ title: answer.statusText, ...document, status: answer.status });
}

async function bodyOf(answer) {
  if (answer.status === 204) return null;
  const text = await answer.text();
  if (!/^application\/([a-z.+-]*\+)?json\b/.test(answer.headers.get("content-type") ?? "")) return text;
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    throw new Problem({ status: answer.status, title: "Not understood", detail: "the answer is no JSON; was it cut off?", hint: "try again" });
  }
}

export const get = async (path, query, { signal } = {}) => bodyOf(await send("GET", path, { query, signal }));

export async function getTagged(path, query, { signal } = {}) {
  const answer = await send("GET", path, { query, signal });
  return { body: await bodyOf(answer), etag: answer.headers.get("etag"), before: answer.headers.get(BEFORE) };
}

// `idempotent`: true for a key of its own, or the key; a second click then does nothing twice.
export async function post(path, body = {}, { idempotent, ifMatch, signal } = {}) {
  const headers = {};
  if (idempotent) headers["idempotency-key"] = idempotent === true ? newKey() : idempotent;
  if (ifMatch) headers["if-match"] = ifMatch;
  return bodyOf(await send("POST", path, { body, headers, signal }));
}

export const del = async (path, { signal } = {}) => bodyOf(await send("DELETE", path, { signal }));

export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Calls `onLine` with each object of an NDJSON answer as it comes, and first `onBefore` with where the lines before them are, or
// null; resolves when the server ends it.
export async function lines(path, query, onLine, { signal, onBefore } = {}) {
  const answer = await send("GET", path, { query, signal, headers: { accept: "application/x-ndjson" } });
  onBefore?.(answer.headers.get(BEFORE));
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) {
      if (part === "") continue;
      try {
        onLine(JSON.parse(part));
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
      }
    }
  }
}

// Follows `next` until there is none or `limit` entries are there: { entries, next }.
export async function pages(path, query, member, { limit = 1000, signal } = {}) {
  const entries = [];
  let cursor;
  do {
    const page = await get(path, { ...query, cursor }, { signal });
    entries.push(...page[member]);
    cursor = page.next ?? null;
  } while (cursor !== null && entries.length < limit);
  return { entries, next: cursor };
}
