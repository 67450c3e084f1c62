// Asks the agent `analytics` for the figures of two regions, of which it knows one.
import { connect, headers } from "@nats-io/transport-node";

const { NATS_SERVER, NATS_USER, NATS_PASSWORD } = process.env;
const nc = await connect({ servers: NATS_SERVER, user: NATS_USER, pass: NATS_PASSWORD });

/** Asks an agent, which is told how long its answer is waited for. */
async function ask(agent, question, timeout = 5000) {
  const told = headers();
  told.set("Werkpilot-Deadline", new Date(Date.now() + timeout).toISOString());
  const reply = await nc.request(`rpc.${agent}`, JSON.stringify(question), { timeout, headers: told });
  const code = reply.headers?.get("Nats-Service-Error-Code");
  if (code) throw new Error(`${code}: ${reply.headers.get("Nats-Service-Error")}`);
  return reply.json();
}

for (const region of ["north", "atlantis"]) {
  try {
    const figures = await ask("analytics", { region });
    console.log(`${region}: ${figures.orders} orders, ${figures.eur} EUR`);
  } catch (error) {
    console.log(`${region}: ${error.message}`);
  }
}
await nc.close();
