// Tells what a region sold: answers the requests to the agent `analytics`.
import { connect, headers } from "@nats-io/transport-node";

const SOLD = { north: { orders: 120, eur: 48200 }, south: { orders: 75, eur: 31500 } };

// This client ignores a user in NATS_URL, so that it is told explicitly.
const { NATS_SERVER, NATS_USER, NATS_PASSWORD } = process.env;
const nc = await connect({ servers: NATS_SERVER, user: NATS_USER, pass: NATS_PASSWORD });

function fail(request, code, text) {
  const error = headers();
  error.set("Nats-Service-Error-Code", String(code));
  error.set("Nats-Service-Error", text);
  request.respond("", { headers: error });
}

nc.subscribe("rpc.analytics", {
  callback: (error, request) => {
    if (error) return console.error(error.message);
    const { region } = request.json();
    if (!(region in SOLD)) return fail(request, 404, `no region ${region}`);
    request.respond(JSON.stringify(SOLD[region]));
  },
});
await nc.flush();
console.log("answering");

process.once("SIGTERM", () => nc.drain());
await nc.closed();
