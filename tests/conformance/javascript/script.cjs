// The conformance script of the official JavaScript clients: tests/conformance/README.md says how it is used.
//
// The first argument is the library: `@nats-io/transport-node`, the current one, or `nats`, its predecessor, in which
// most agents are written and which has the micro-services built in. It prints a JSON line for each step. What is random
// or depends on the time is left out of the results.
"use strict";

const readline = require("node:readline");

const library = process.argv[2];
const { connect, createInbox, headers } = require(library);
const { OPEN_URL, PASSWORD_URL, TOKEN_URL, SMALL_URL } = process.env;
const PATIENCE = 20000;
const encode = (text) => new TextEncoder().encode(text);
const decode = (bytes) => new TextDecoder().decode(bytes);
const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

function tell(step, result) {
  console.log(JSON.stringify({ step, result }));
}

/** Asks the test to do something with the open server, and waits until it is done. */
async function ask(what) {
  console.log(JSON.stringify({ ask: what }));
  await answers.next();
}

const named = (error) => `${error.name}: ${error.message}`;

/** What an operation answered, or the error that it ended with. */
async function outcome(operation) {
  try {
    return await operation();
  } catch (error) {
    return named(error);
  }
}

async function until(condition) {
  const end = Date.now() + PATIENCE;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited in vain for ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function open(options = {}) {
  return connect({ servers: OPEN_URL, reconnectTimeWait: 50, maxReconnectAttempts: -1, timeout: PATIENCE, ...options });
}

/** Remembers the kinds of events of a connection, those in which we are interested. */
function watch(nc, kinds) {
  const seen = [];
  (async () => {
    for await (const status of nc.status()) {
      if (kinds.includes(status.type) && seen.at(-1) !== status.type) seen.push(status.type);
    }
  })();
  return seen;
}

/** A subscription that keeps what it gets. */
function collect(nc, subject, options = {}) {
  const messages = [];
  const sub = nc.subscribe(subject, { ...options, callback: (error, message) => messages.push(error ?? message) });
  return { messages, sub, texts: () => messages.map((message) => decode(message.data)) };
}

function headersOf(message) {
  return message.headers ? [...message.headers].map(([key, values]) => [key, values]) : null;
}

async function connecting() {
  const nc = await open({ name: "conformance" });
  const { max_payload, headers, proto, client_id, version, auth_required } = nc.info;
  tell("connect", {
    max_payload, headers, proto, auth: !!auth_required, client_id: client_id > 0, version: /^\d+\.\d+\.\d+/.test(version),
    server: nc.getServer() === OPEN_URL.replace("nats://", ""),
  });
  tell("round trip", (await nc.rtt()) >= 0);
  await nc.close();
  tell("close", [nc.isClosed(), await outcome(() => nc.publish("a"))]);
}

async function refused(servers, options) {
  try {
    const nc = await open({ servers, reconnect: false, ...options });
    await nc.flush();
    await nc.close();
    return "welcome";
  } catch (error) {
    return named(error);
  }
}

async function credentials() {
  for (const [step, servers, options] of [
    ["password", PASSWORD_URL, { user: "alice", pass: "secret" }],
    ["wrong password", PASSWORD_URL, { user: "alice", pass: "guess" }],
    ["wrong user", PASSWORD_URL, { user: "bob", pass: "secret" }],
    ["no password", PASSWORD_URL, {}],
    ["token instead of a password", PASSWORD_URL, { token: "secret" }],
    ["token", TOKEN_URL, { token: "s3cr3t" }],
    ["wrong token", TOKEN_URL, { token: "guess" }],
    ["no token", TOKEN_URL, {}],
    ["credentials that nobody asks for", OPEN_URL, { user: "alice", pass: "secret" }],
  ]) {
    tell(step, await refused(servers, options));
  }
}

async function publishing(nc) {
  const orders = collect(nc, "orders.new");
  for (let n = 0; n < 1000; n++) nc.publish("orders.new", encode(String(n)));
  await nc.flush();
  tell("order of publication", orders.texts().every((text, n) => text === String(n)) && orders.messages.length);
  orders.messages.length = 0;
  nc.publish("orders.new", Uint8Array.from({ length: 256 }, (_, n) => n), { reply: "answers.here" });
  nc.publish("orders.new");
  await nc.flush();
  tell("publish", orders.messages.map((m) => [m.subject, m.reply, Buffer.from(m.data).toString("hex"), headersOf(m)]));
  orders.messages.length = 0;
  nc.publish("orders.new", new Uint8Array(nc.info.max_payload));
  await nc.flush();
  tell("largest payload", orders.messages[0].data.length);
  orders.sub.unsubscribe();
  nc.publish("orders.new", encode("nobody is here"));
  await nc.flush();
  tell("flush", orders.messages.length);
}

async function wildcards(nc) {
  const patterns = ["a.b.c", "a.*.c", "*.b.*", "a.>", ">", "a.b.>", "*", "*.*.*", "a.*", "a.b*.c", "b.>"];
  const subjects = ["a", "a.b", "a.b.c", "a.x.c", "x.b.y", "a.b.c.d", "b.c", "a.b*.c", "$SYS.x"];
  const subs = patterns.map((pattern) => collect(nc, pattern));
  for (const subject of subjects) nc.publish(subject, encode(subject));
  await nc.flush();
  tell("wildcards", Object.fromEntries(patterns.map((pattern, n) => [pattern, subs[n].texts()])));
  for (const { sub } of subs) sub.unsubscribe();
}

async function queueGroups(nc, other) {
  const members = [nc, nc, other].map((client) => collect(client, "work.*", { queue: "workers" }));
  const auditors = [nc, nc].map((client) => collect(client, "work.>", { queue: "auditors" }));
  const plain = collect(other, "work.a");
  await other.flush();
  for (let n = 0; n < 300; n++) nc.publish("work.a");
  await nc.flush();
  await other.flush();
  const counts = members.map(({ messages }) => messages.length);
  const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
  tell("queue groups", {
    workers: sum(counts), each: counts.every((count) => count > 0),
    auditors: sum(auditors.map(({ messages }) => messages.length)), plain: plain.messages.length,
  });
  for (const { sub } of [...members.slice(0, 2), ...auditors, plain]) sub.unsubscribe();
  for (let n = 0; n < 10; n++) nc.publish("work.b");
  await nc.flush();
  await other.flush();
  tell("the last of a queue group gets all", members[2].messages.length - counts[2]);
  members[2].sub.unsubscribe();
}

async function requests(nc, other) {
  const timeout = PATIENCE;
  const upper = other.subscribe("upper", { callback: (_, m) => m.respond(encode(decode(m.data).toUpperCase())) });
  const silent = other.subscribe("silent", { callback: () => {} });
  const crowd = [0, 1, 2].map(() => other.subscribe("crowd", { callback: (_, m) => m.respond(encode("here")) }));
  await other.flush();
  const reply = await nc.request("upper", encode("hello"), { timeout });
  tell("request", [decode(reply.data), reply.reply ?? null, headersOf(reply)]);
  const own = await nc.request("upper", encode("hello"), { timeout, noMux: true });
  tell("request with an inbox of its own", decode(own.data));
  const all = await Promise.all(
    Array.from({ length: 500 }, (_, n) => nc.request("upper", encode(`r${n}`), { timeout })),
  );
  tell("many requests at once", all.every((message, n) => decode(message.data) === `R${n}`));
  const many = [];
  for await (const m of await nc.requestMany("crowd", encode("?"), { strategy: "count", maxMessages: 3, maxWait: PATIENCE })) {
    many.push(decode(m.data));
  }
  tell("request with many answers", many);
  tell("no responders", await outcome(() => nc.request("nobody", encode(""), { timeout })));
  tell("no responders to an inbox of its own", await outcome(() => nc.request("nobody", encode(""), { timeout, noMux: true })));
  tell("no answer", await outcome(() => nc.request("silent", encode(""), { timeout: 100 })));
  for (const sub of [upper, silent, ...crowd]) sub.unsubscribe();
  await other.flush();
  tell("no responders any more", await outcome(() => nc.request("upper", encode(""), { timeout })));
  const inbox = collect(nc, createInbox());
  nc.publish("nobody", encode("x"), { reply: inbox.sub.getSubject() });
  await nc.flush();
  tell("status of no responders", inbox.messages.map((m) => [decode(m.data), m.headers.code, m.headers.description]));
  inbox.sub.unsubscribe();
}

async function withHeaders(nc) {
  const got = collect(nc, "h");
  const send = (pairs, body = "body") => {
    const h = headers();
    for (const [key, value] of pairs) h.append(key, value);
    nc.publish("h", encode(body), { headers: h });
  };
  send([["Plain", "text"], ["With-Space", "a b  c"], ["Colon", "a:b: c"]]);
  send([["Twice", "one"], ["Twice", "two"], ["lower", "x"], ["LOWER", "y"]]);
  send([["Empty", ""]]);
  send([["Unicode", "Grüße"]]);
  send([["Long", "x".repeat(10000)]]);
  send([["No", "body"]], "");
  await nc.flush();
  const seen = got.messages.map((m) => [headersOf(m), decode(m.data)]);
  seen[4] = seen[4][0][0][1][0].length;
  tell("headers", seen);
  got.sub.unsubscribe();
}

async function limits(nc) {
  const limited = collect(nc, "limited", { max: 3 });
  for (let n = 0; n < 10; n++) nc.publish("limited", encode(String(n)));
  await nc.flush();
  tell("unsubscribe after 3", [limited.texts(), limited.sub.isClosed()]);
  const late = collect(nc, "late");
  for (let n = 0; n < 5; n++) nc.publish("late", encode(String(n)));
  await nc.flush();
  late.sub.unsubscribe(2);
  nc.publish("late", encode("5"));
  await nc.flush();
  tell("unsubscribe after fewer than came", late.texts());
  const silent = await open({ noEcho: true });
  const own = collect(silent, "echo");
  const others = collect(nc, "echo");
  await nc.flush();
  silent.publish("echo", encode("mine"));
  await silent.flush();
  await nc.flush();
  tell("no echo", [own.texts(), others.texts()]);
  others.sub.unsubscribe();
  await silent.close();
}

async function tooLarge() {
  const nc = await open({ servers: SMALL_URL, reconnect: false });
  const limit = nc.info.max_payload;
  tell("max payload", [limit, await outcome(() => nc.publish("a", new Uint8Array(limit + 1)))]);
  // The server is asked, not the client. What it says may be lost: it closes the connection with the rest unread.
  nc.protocol.info.max_payload = 1 << 20;
  nc.publish("a", new Uint8Array(limit + 1));
  await nc.closed();
  tell("max payload, seen by the server", nc.isClosed());
}

async function drains(nc) {
  const client = await open();
  const first = collect(client, "drain");
  await client.flush();
  for (let n = 0; n < 100; n++) nc.publish("drain");
  await nc.flush();
  await first.sub.drain();
  tell("drain of a subscription", [first.messages.length, first.sub.isClosed()]);
  const second = collect(client, "drain");
  const last = collect(nc, "last");
  await client.flush();
  for (let n = 0; n < 100; n++) nc.publish("drain");
  await nc.flush();
  client.publish("last", encode("words"));
  await client.drain();
  await nc.flush();
  tell("drain", [second.messages.length, last.texts(), client.isClosed()]);
  last.sub.unsubscribe();
}

async function modes() {
  for (const mode of [{ verbose: true }, { pedantic: true }, { verbose: true, pedantic: true }]) {
    const nc = await open(mode);
    nc.subscribe("question", { callback: (_, m) => m.respond(encode("yes")) });
    const replies = [];
    for (let n = 0; n < 3; n++) {
      const h = headers();
      h.set("A", "b");
      replies.push(decode((await nc.request("question", encode("?"), { timeout: PATIENCE, headers: h })).data));
    }
    tell(Object.keys(mode).join(" and "), replies);
    await nc.close();
  }
  for (const subject of ["foo..bar", "foo.*", "foo.>.bar", ".foo", "foo."]) {
    for (const pedantic of [false, true]) {
      const said = await complaints({ pedantic }, (nc) => nc.publish(subject));
      tell(`publish to ${subject}${pedantic ? ", pedantic" : ""}`, said);
    }
  }
  for (const subject of ["foo..bar", "foo.>.bar", ".foo", "foo.", "foo.b*r", "foo.>x"]) {
    tell(`subscribe to ${subject}`, await complaints({}, (nc) => nc.subscribe(subject, { callback: () => {} })));
  }
}

/** What the server says to an operation, and whether the connection stays open after it. */
async function complaints(options, operation) {
  const nc = await open({ ...options, reconnect: false });
  const errors = [];
  (async () => {
    for await (const { type, error, data } of nc.status()) if (type === "error") errors.push(error?.message ?? data);
  })();
  const ended = nc.closed().then((error) => (error ? named(error) : "closed"));
  const sent = await outcome(() => void operation(nc));
  const state = await Promise.race([ended, nc.flush().then(() => "open", () => ended)]);
  await new Promise(setImmediate);
  await nc.close();
  return [sent ?? null, errors, state];
}

/** An answer of a micro-service without what differs from run to run. */
function steady(message) {
  const { id, started, ...value } = JSON.parse(decode(message.data));
  for (const endpoint of value.endpoints ?? []) {
    delete endpoint.processing_time;
    delete endpoint.average_processing_time;
  }
  return value;
}

async function microService(nc) {
  const timeout = PATIENCE;
  const client = await open();
  const calc = { name: "calc", version: "1.2.3", description: "it counts", metadata: { team: "sales" } };
  const service = await client.services.add(calc);
  service.addEndpoint("echo", (error, m) => m.respond(m.data, { headers: m.headers }));
  const group = service.addGroup("math", "m");
  group.addEndpoint("fail", (error, m) => m.respondError(409, "no such thing", encode("the reason")));
  group.addEndpoint("crash", { subject: "crash.*", handler: () => { throw new Error("oops"); } });
  await client.flush();
  const h = headers();
  h.set("A", "b");
  const reply = await nc.request("echo", encode("hi"), { timeout, headers: h });
  tell("micro: request", [decode(reply.data), headersOf(reply)]);
  const failed = await nc.request("math.fail", encode(""), { timeout });
  tell("micro: error of math.fail", [decode(failed.data), headersOf(failed)]);
  for (const verb of ["PING", "INFO", "STATS"]) {
    for (const [whose, where] of [["all", ""], ["it", ".calc"], ["this one", `.calc.${service.info().id}`]]) {
      tell(`micro: ${verb} of ${whose}`, steady(await nc.request(`$SRV.${verb}${where}`, encode(""), { timeout })));
    }
  }
  tell("micro: another", await outcome(() => nc.request("$SRV.PING.other", encode(""), { timeout })));
  const twin = await client.services.add({ ...calc, version: "1.2.4" });
  await client.flush();
  const found = [];
  const finder = nc.services.client({ strategy: "count", maxMessages: 2, maxWait: PATIENCE });
  for await (const one of await finder.ping("calc")) found.push(one.version);
  tell("micro: all instances answer", found.sort());
  await twin.stop();
  await service.stop();
  await client.flush();
  tell("micro: stopped", await outcome(() => nc.request("$SRV.PING.calc", encode(""), { timeout })));
  await client.close();
}

async function pings() {
  const nc = await open({ pingInterval: 1000, maxPingOut: 2 });
  const seen = watch(nc, ["ping", "pingTimer", "disconnect"]);
  await until(() => seen.length > 0);
  await nc.flush();
  tell("pings", [seen.length, nc.isClosed()]);
  await nc.close();

  const brisk = await open({ pingInterval: 100, maxPingOut: 2 });
  const events = watch(brisk, ["staleConnection", "disconnect", "reconnect"]);
  await ask("pause");
  await until(() => events.includes("disconnect"));
  await ask("resume");
  await until(() => events.includes("reconnect"));
  await brisk.flush();
  tell("max outstanding pings", [events[0], events.at(-1)]);
  await brisk.close();
}

async function restarts() {
  const nc = await open();
  const seen = watch(nc, ["disconnect", "reconnect"]);
  nc.subscribe("question", { callback: (_, m) => m.respond(encode("again")) });
  const kept = collect(nc, "kept");
  await nc.flush();
  await ask("stop");
  await until(() => seen.includes("disconnect"));
  nc.publish("kept", encode("said meanwhile"));
  await ask("start");
  await until(() => seen.includes("reconnect"));
  const reply = await nc.request("question", encode("?"), { timeout: PATIENCE });
  tell("reconnect", [seen, kept.texts(), decode(reply.data)]);
  await nc.close();
}

async function lameDuck() {
  const nc = await open({ reconnect: false });
  const seen = watch(nc, ["ldm"]);
  await nc.flush();
  await ask("lame duck");
  await nc.closed();
  tell("lame duck", seen);
}

async function main() {
  await connecting();
  await credentials();
  const [nc, other] = [await open(), await open()];
  await publishing(nc);
  await wildcards(nc);
  await queueGroups(nc, other);
  await requests(nc, other);
  await withHeaders(nc);
  await limits(nc);
  await tooLarge();
  await drains(nc);
  await modes();
  if (nc.services) await microService(nc);
  await nc.close();
  await other.close();
  await pings();
  await restarts();
  await lameDuck();
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
