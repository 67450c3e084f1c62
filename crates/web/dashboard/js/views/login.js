// Logging in: with the link that `werkpilot login` prints, or with a token.
import { html, useState } from "../lib/html.js";
import { LOGIN_COMMAND, login, logout, session } from "../lib/session.js";
import { go } from "../lib/route.js";
import { Button } from "../ui/button.js";
import { Command } from "../ui/code.js";
import { Page } from "../ui/page.js";
import { ProblemView } from "../ui/problem.js";
import { toast } from "../ui/toast.js";

export const title = "Log in";
export const styles = true;

const RIGHTS = { viewer: "You see everything and change nothing.", operator: "You see everything and act on agents, executions and dead letters.", admin: "You may do everything." };

export default function Login() {
  const { name, role } = session.value;
  const [problem, setProblem] = useState(null);
  const [text, setText] = useState("");
  const submit = async (event) => {
    event.preventDefault();
    const given = text.trim();
    if (given === "") return;
    try {
      // A whole link, its code, or a token.
      const link = /#\/?login=([^&\s]+)/.exec(given);
      await login(link ? { code: link[1] } : given.startsWith("wp_") ? { token: given } : { code: given });
      setText("");
      setProblem(null);
      toast(`Logged in as ${session.peek().name}`);
      go("overview");
    } catch (failure) {
      setProblem(failure);
    }
  };
  return html`<${Page} title="Log in"><div class="login stack">
    ${role ? html`<div class="banner"><span class="grow"><b>You are ${name}, ${role}.</b> <span class="quiet">${RIGHTS[role] ?? ""}</span></span><${Button} onClick=${logout}>Log out</${Button}></div>` : null}
    <div class="card stack"><div><h2>With a link</h2><p class="quiet">On the server, this prints a link that logs you in once, within five minutes:</p></div><${Command} of=${LOGIN_COMMAND} /></div>
    <form class="card stack" onSubmit=${submit}><div><h2>With a token</h2><p class="quiet">A token or the code of a link. It is sent once, to this server, and kept nowhere in this browser.</p></div>
      <div class="field"><label for="login-token">Token or code</label><input id="login-token" type="password" autocomplete="off" spellcheck=${false} value=${text} onInput=${(event) => setText(event.target.value)} placeholder="wp_…" /></div>
      <${ProblemView} of=${problem && problem.status === 401 ? { ...problem, title: problem.title, detail: problem.detail, hint: problem.hint, status: 400 } : problem} />
      <div class="row"><${Button} type="submit" kind="primary">Log in</${Button}></div></form>
    <p class="quiet">An admin makes tokens with <code>werkpilot token create NAME --role viewer</code>; they can be revoked at any time.</p>
  </div></${Page}>`;
}
