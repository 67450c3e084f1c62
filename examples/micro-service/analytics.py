"""Tells what a region sold, as a micro-service: PING, INFO and STATS come with the official client."""

import asyncio
import json
import os
import signal

import nats
import nats.micro
from nats.micro.request import ServiceError
from nats.micro.service import EndpointConfig

SOLD = {"north": {"orders": 120, "eur": 48200}, "south": {"orders": 75, "eur": 31500}}


async def figures(request):
    region = json.loads(request.data)["region"]
    if region not in SOLD:
        raise ServiceError("404", f"no region {region}")
    await request.respond(json.dumps(SOLD[region]).encode())


async def main():
    nc = await nats.connect(
        os.environ["NATS_SERVER"], user=os.environ["NATS_USER"], password=os.environ["NATS_PASSWORD"]
    )
    agent = os.environ["AGENT_NAME"]
    service = await nats.micro.add_service(nc, name=agent, version="1.0.0", description="what a region sold")
    await service.add_endpoint(EndpointConfig(name="figures", subject=f"rpc.{agent}.figures", handler=figures))

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await service.stop()
    await nc.drain()


asyncio.run(main())
