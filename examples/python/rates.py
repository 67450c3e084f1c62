"""Tells what a euro is worth: the smallest agent that answers."""

import asyncio
import json
import os
import signal

import nats

RATES = {"CHF": 0.95, "USD": 1.1}


async def main():
    nc = await nats.connect(
        os.environ["NATS_SERVER"], user=os.environ["NATS_USER"], password=os.environ["NATS_PASSWORD"]
    )

    async def answer(request):
        # The bus says who asks; a client can't claim to be somebody else.
        print("asked by", request.headers["Werkpilot-From"], "hop", request.headers["Werkpilot-Hops"])
        await nc.publish(request.reply, json.dumps(RATES[json.loads(request.data)]).encode())

    await nc.subscribe("rpc.rates", cb=answer)
    await nc.flush()
    print("answering")

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await nc.drain()


asyncio.run(main())
