// Hears how executions end: the system's events are CloudEvents on subjects of their own.
import { connect } from "@nats-io/transport-node";

const { NATS_SERVER, NATS_USER, NATS_PASSWORD } = process.env;
const nc = await connect({ servers: NATS_SERVER, user: NATS_USER, pass: NATS_PASSWORD });

const events = nc.subscribe("execution.>");
await nc.flush();
console.log("listening");

process.once("SIGTERM", () => nc.drain());
for await (const message of events) {
  const event = message.json();
  console.log(`${event.time} ${event.type} ${event.data.agent}`);
}
