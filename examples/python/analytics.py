"""Tells what a region sold: answers the requests to the agent `analytics`."""

import asyncio
import json
import os
import signal

import nats

SOLD = {"north": {"orders": 120, "eur": 48200}, "south": {"orders": 75, "eur": 31500}}


def onward(request):
    """What the next question of a chain takes along from the one before."""
    chain = ("Werkpilot-Deadline", "Werkpilot-Hops")
    return {name: value for name, value in (request.headers or {}).items() if name in chain}


async def main():
    nc = await nats.connect(
        os.environ["NATS_SERVER"], user=os.environ["NATS_USER"], password=os.environ["NATS_PASSWORD"]
    )

    async def fail(request, code, text):
        error = {"Nats-Service-Error-Code": str(code), "Nats-Service-Error": text}
        await nc.publish(request.reply, b"", headers=error)

    async def answer(request):
        region = json.loads(request.data)["region"]
        if region not in SOLD:
            return await fail(request, 404, f"no region {region}")
        rate = await nc.request("rpc.rates", b'"CHF"', timeout=2, headers=onward(request))
        if "Nats-Service-Error" in (rate.headers or {}):
            return await fail(request, 502, f"no rate: {rate.headers['Nats-Service-Error']}")
        sold = SOLD[region]
        figures = {"orders": sold["orders"], "chf": round(sold["eur"] * json.loads(rate.data))}
        keep = {"Werkpilot-Cache-Ttl": "30s", "Werkpilot-Cache-Scope": "all"}
        await nc.publish(request.reply, json.dumps(figures).encode(), headers=keep)

    await nc.subscribe("rpc.analytics", cb=answer)
    await nc.flush()
    print("answering")

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await nc.drain()


asyncio.run(main())
