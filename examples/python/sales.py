"""Asks the agent `analytics` for the figures of two regions, of which it knows one."""

import asyncio
import json
import os
from datetime import datetime, timedelta, timezone

import nats
from nats.errors import NoRespondersError, TimeoutError


class AgentError(Exception):
    """What an agent answers if it can't answer."""


async def ask(nc, agent, question, seconds=5):
    """Asks an agent, which is told how long its answer is waited for."""
    deadline = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    headers = {"Werkpilot-Deadline": deadline.isoformat()}
    reply = await nc.request(f"rpc.{agent}", json.dumps(question).encode(), timeout=seconds, headers=headers)
    answered = reply.headers or {}
    if "Nats-Service-Error-Code" in answered:
        raise AgentError(f"{answered['Nats-Service-Error-Code']}: {answered['Nats-Service-Error']}")
    return json.loads(reply.data)


async def main():
    nc = await nats.connect(
        os.environ["NATS_SERVER"], user=os.environ["NATS_USER"], password=os.environ["NATS_PASSWORD"]
    )
    for region in ("north", "atlantis"):
        try:
            figures = await ask(nc, "analytics", {"region": region})
            print(f"{region}: {figures['orders']} orders, {figures['chf']} CHF")
        except AgentError as error:
            print(f"{region}: {error}")
        except NoRespondersError:
            print(f"{region}: there is no agent of this name")
        except TimeoutError:
            print(f"{region}: no answer in time")
    await nc.close()


asyncio.run(main())
