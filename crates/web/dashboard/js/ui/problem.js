// A failure: what, why, and what to do.
import { html } from "../lib/html.js";
import { LOGIN_COMMAND, may, session } from "../lib/session.js";
import { href } from "../lib/route.js";
import { Text } from "../lib/text.js";
import { Button, Link } from "./button.js";
import { Command } from "./code.js";
import { Loading } from "./empty.js";

export function ProblemView({ of: problem, retry }) {
  if (!problem) return null;
  if ((problem.status === 401 || problem.status === 403) && !session.value.role) {
    return html`<${NeedsRole} role="viewer" what=${problem.detail || "this"} />`;
  }
  return html`<div class="problem" role="alert"><p><b>${problem.title}</b>${problem.status ? html` <span class="quiet">${problem.status}</span>` : null}</p>
    <p><${Text} of=${problem.detail || problem.message} max=${2000} /></p>
    ${problem.hint ? html`<p class="quiet"><${Text} of=${problem.hint} max=${1000} /></p>` : null}
    ${retry ? html`<${Button} onClick=${retry} icon="restart">Try again</${Button}>` : null}</div>`;
}

export function NeedsRole({ role = "viewer", what }) {
  const { role: mine } = session.value;
  return html`<div class="needs"><p class="empty-title">${mine ? `This needs the role ${role}` : "Log in to see this"}</p>
    <p class="quiet">${what ? html`<${Text} of=${what} max=${300} />${". "}` : null}${mine
      ? `You are logged in as ${mine}. A token with the role ${role} does it: `
      : "This page shows the overview to anybody on this machine; logs, payloads, history and actions need a login. On the server, this prints a link that works once: "}</p>
    <${Command} of=${mine ? `werkpilot token create NAME --role ${role}` : LOGIN_COMMAND} />
    <${Link} href=${href("login")} icon="user">${mine ? "Log in with another token" : "Log in"}</${Link}></div>`;
}

export function Needs({ role, what, children }) {
  if (!session.value.known) return html`<${Loading} />`;
  return may(role) ? children : html`<${NeedsRole} role=${role} what=${what} />`;
}

export function Guard({ of: resource, what, children }) {
  const { data, problem, loading, reload } = resource;
  const show = [children].flat().find((child) => typeof child === "function");
  if (data !== undefined) {
    return html`${problem ? html`<${ProblemView} of=${problem} retry=${reload} />` : null}${show(data)}`;
  }
  if (problem) return html`<${ProblemView} of=${problem} retry=${reload} />`;
  return loading ? html`<${Loading} what=${what} />` : null;
}
