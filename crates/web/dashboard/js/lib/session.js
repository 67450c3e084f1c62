// Who is looking, and what they may do. Without a login, on loopback, one may see the overview.
import { signal } from "./html.js";
import { del, get, onStatus, post, setCsrf } from "./api.js";

const RANK = { viewer: 1, operator: 2, admin: 3 };
export const LOGIN_COMMAND = "werkpilot login";

// `known`: the server has said who we are. Until then nobody is offered what may fail.
export const session = signal({ known: false, name: null, role: null, csrf: null, loopback: true });

export const may = (role) => !role || (RANK[session.value.role] ?? 0) >= RANK[role];

function take(answer) {
  setCsrf(answer?.csrf ?? null);
  const { name = null, role = null, csrf = null, loopback = true } = answer ?? {};
  const { known, ...before } = session.peek();
  const next = { name, role, csrf, loopback };
  if (!known || JSON.stringify(before) !== JSON.stringify(next)) session.value = { known: true, ...next };
}

let asking = null;
// Asks the server who we are; one question at a time.
export function whoAmI() {
  asking ??= get("/session").then(take, () => {
    if (!session.peek().known) take(null);
  }).finally(() => { asking = null; });
  return asking;
}

// `{ code }` from `werkpilot login`, or `{ token }`. Rejects with the server's Problem.
export async function login(secret) {
  take(await post("/session", secret));
}

export async function logout() {
  // First what needs the session is let go: the stream of facts.
  session.value = { ...session.peek(), role: null };
  try {
    await del("/session");
  } finally {
    take(null);
    await whoAmI();
  }
}

// The link of `werkpilot login` brings its code in the fragment, which no server and no log ever sees.
const codeIn = (hash) => /^#\/?login=([^&]+)/.exec(hash)?.[1] ?? null;

async function enter(code) {
  history.replaceState(null, "", "#/");
  dispatchEvent(new HashChangeEvent("hashchange"));
  try {
    await login({ code: decodeURIComponent(code) });
    return null;
  } catch (problem) {
    await whoAmI();
    return problem;
  }
}

// `refused(problem)`: a link did not log in, the one that the page was opened with or one that came into its address later.
export async function begin(refused) {
  const follow = async (code) => {
    const problem = await enter(code);
    if (problem) refused(problem);
  };
  addEventListener("hashchange", (event) => {
    const code = codeIn(location.hash);
    if (code === null) return;
    // No view sees the code, and the address is another one before anybody does.
    event.stopImmediatePropagation();
    follow(code);
  }, { capture: true });
  const code = codeIn(location.hash);
  await (code === null ? whoAmI() : follow(code));
}

// A 401 while we believe to be logged in: the session has ended, or its token was revoked.
onStatus((status) => {
  if (status === 401 && session.peek().role) whoAmI();
});
