// Starts the real binary with the registry of the tests in a folder of its own, and ends it.
const { execFileSync, spawn } = require("node:child_process");
const fs = require("node:fs");
const net = require("node:net");
const os = require("node:os");
const path = require("node:path");

const root = path.resolve(__dirname, "../..");
const binary = process.env.WERKPILOT_BIN ?? path.join(root, "target/debug/werkpilot");
const PATIENCE = 20_000;

async function until(what, check) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const found = await check();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${PATIENCE / 1000} s: ${what()}`);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

class Fleet {
  // `registry`: a folder, copied; `config`: more of werkpilot.toml; `args`: more of `up`.
  static async start({ registry = path.join(__dirname, "registry"), config = "", agents = [], args = [] } = {}) {
    const fleet = new Fleet();
    fleet.dir = fs.mkdtempSync(path.join(os.tmpdir(), "wp-browser-"));
    fleet.registry = path.join(fleet.dir, "registry");
    fs.cpSync(registry, fleet.registry, { recursive: true });
    if (agents.length > 0) fs.writeFileSync(path.join(fleet.registry, "more.toml"), agents.join("\n"));
    const [http, bus] = [await freePort(), await freePort()];
    fleet.url = `http://127.0.0.1:${http}`;
    fleet.config = path.join(fleet.dir, "werkpilot.toml");
    fs.writeFileSync(fleet.config, `[dashboard]\nlisten = "127.0.0.1:${http}"\n[bus]\nlisten = "127.0.0.1:${bus}"\n[state]\ndir = "state"\n[boot]\nlayer_timeout = "2s"\n${/^\[memory\]/m.test(config) ? "" : '[memory]\ninterval = "1s"\n'}${config}`);
    fleet.log = path.join(fleet.dir, "orchestrator.log");
    fleet.args = args;
    try {
      await fleet.up();
      fleet.tokens = { admin: fs.readFileSync(path.join(fleet.dir, "state/admin.token"), "utf8").trim() };
      for (const role of ["operator", "viewer"]) fleet.tokens[role] = (await fleet.api("POST", "/tokens", { name: `${role}-of-the-test`, role })).token;
    } catch (error) {
      await fleet.stop();
      throw error;
    }
    return fleet;
  }

  async up() {
    const out = fs.openSync(this.log, "a");
    this.child = spawn(binary, ["up", "--registry", "registry", "--config", "werkpilot.toml", ...this.args], { cwd: this.dir, stdio: ["ignore", out, out] });
    fs.closeSync(out);
    this.ended = new Promise((resolve) => { this.child.once("exit", resolve); });
    const said = () => fs.readFileSync(this.log, "utf8").slice(-3000);
    await until(() => `the orchestrator is ready; it said:\n${said()}`, async () => {
      if (this.child.exitCode !== null) throw new Error(`the orchestrator ended:\n${said()}`);
      return (await fetch(`${this.url}/readyz`).catch(() => null))?.ok;
    });
  }

  async down() {
    if (!this.child || this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill("SIGTERM");
    const late = setTimeout(() => this.child.kill("SIGTERM"), 3000);
    const last = setTimeout(() => this.child.kill("SIGKILL"), 10_000);
    await this.ended;
    clearTimeout(late);
    clearTimeout(last);
  }

  // Down and up again, and what happens between.
  async restart(between) {
    await this.down();
    await between();
    await this.up();
  }

  // The command line, as a person would use it.
  cli(...args) {
    return execFileSync(binary, [...args, "--config", this.config], { cwd: this.dir, encoding: "utf8" });
  }

  async api(method, at, body, role = "admin") {
    const answer = await fetch(`${this.url}/api/v1${at}`, {
      method, headers: { authorization: `Bearer ${this.tokens[role]}`, "content-type": "application/json" }, body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${at}: ${answer.status} ${text}`);
    return text === "" ? null : JSON.parse(text);
  }

  get(at) { return this.api("GET", at); }
  post(at, body = {}) { return this.api("POST", at, body); }

  async untilStatus(name, ...wanted) {
    let last = "";
    await until(() => `${name} is ${wanted.join(" or ")}, not ${last}`, async () => {
      last = await this.get(`/agents/${name}`).then((agent) => agent.status, () => "not there");
      return wanted.includes(last);
    });
  }

  // A link that logs in once.
  loginLink() {
    const found = /\S+#login=\S+/.exec(this.cli("login"));
    if (!found) throw new Error("werkpilot login prints no link");
    return found[0];
  }

  // A file of the registry, written anew; the orchestrator notices.
  write(name, text) {
    fs.writeFileSync(path.join(this.registry, name), text);
  }

  async stop() {
    const died = this.child && (this.child.exitCode > 0 || this.child.signalCode !== null);
    const last = died ? fs.readFileSync(this.log, "utf8").slice(-6000) : "";
    await this.down();
    fs.rmSync(this.dir, { recursive: true, force: true });
    if (died) throw new Error(`the orchestrator ended by itself (${this.child.exitCode ?? this.child.signalCode}); it said:\n${last}`);
  }
}

module.exports = { Fleet, until };
