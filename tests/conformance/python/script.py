"""The conformance script of the official Python client, nats-py: tests/conformance/README.md says how it is used.

It prints a JSON line for each step. What is random or depends on the time is left out of the results.
"""

import asyncio
import json
import os
import sys

import nats
import nats.micro
from nats.micro.request import ServiceError
from nats.micro.service import EndpointConfig

OPEN, PASSWORD, TOKEN, SMALL = (os.environ[name] for name in ("OPEN_URL", "PASSWORD_URL", "TOKEN_URL", "SMALL_URL"))
PATIENCE = 20


def tell(step, result):
    print(json.dumps({"step": step, "result": result}), flush=True)


async def ask(what):
    """Asks the test to do something with the open server, and waits until it is done."""
    print(json.dumps({"ask": what}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


def named(error):
    return f"{type(error).__name__}: {error}"


async def outcome(awaitable):
    """What an operation answered, or the error that it ended with."""
    try:
        return await awaitable
    except Exception as error:
        return named(error)


async def until(condition):
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)


async def quiet(*_):
    pass


async def flush(nc):
    """Waits until the server has seen all. The first PING of this client may overtake what it has not written yet."""
    await nc.flush(PATIENCE)
    await nc.flush(PATIENCE)


async def connect(url=OPEN, **options):
    options.setdefault("error_cb", quiet)
    options.setdefault("reconnect_time_wait", 0.05)
    options.setdefault("max_reconnect_attempts", -1)
    return await nats.connect(url, **options)


async def take(sub, count):
    return [await sub.next_msg(timeout=PATIENCE) for _ in range(count)]


def texts(messages):
    return [message.data.decode() for message in messages]


async def connecting():
    nc = await connect(name="conformance")
    info = nc._server_info
    tell("connect", {"connected": nc.is_connected, "max_payload": nc.max_payload, "client_id": nc.client_id > 0,
                     "headers": info["headers"], "proto": info["proto"], "auth": nc._auth_configured,
                     "version": nc.connected_server_version.major >= 2})
    await nc.close()
    tell("close", {"closed": nc.is_closed, "publish": await outcome(nc.publish("a"))})


async def refused(url, **options):
    try:
        nc = await connect(url, allow_reconnect=False, **options)
    except Exception as error:
        return named(error)
    await flush(nc)
    await nc.close()
    return "welcome"


async def credentials():
    with_login = PASSWORD.replace("://", "://alice:secret@")
    with_token = TOKEN.replace("://", "://s3cr3t@")
    for step, url, options in [
        ("password", PASSWORD, {"user": "alice", "password": "secret"}),
        ("password in the URL", with_login, {}),
        ("wrong password", PASSWORD, {"user": "alice", "password": "guess"}),
        ("wrong user", PASSWORD, {"user": "bob", "password": "secret"}),
        ("no password", PASSWORD, {}),
        ("token instead of a password", PASSWORD, {"token": "secret"}),
        ("token", TOKEN, {"token": "s3cr3t"}),
        ("token in the URL", with_token, {}),
        ("wrong token", TOKEN, {"token": "guess"}),
        ("no token", TOKEN, {}),
        ("credentials that nobody asks for", OPEN, {"user": "alice", "password": "secret"}),
    ]:
        tell(step, await refused(url, **options))


async def publishing(nc):
    sub = await nc.subscribe("orders.new")
    for n in range(1000):
        await nc.publish("orders.new", str(n).encode())
    tell("order of publication", texts(await take(sub, 1000)) == [str(n) for n in range(1000)])
    await nc.publish("orders.new", bytes(range(256)), reply="answers.here")
    await nc.publish("orders.new")
    messages = await take(sub, 2)
    tell("publish", [[m.subject, m.reply, m.data.hex(), m.headers] for m in messages])
    await nc.publish("orders.new", b"x" * nc.max_payload)
    tell("largest payload", len((await take(sub, 1))[0].data))
    await sub.unsubscribe()
    await nc.publish("orders.new", b"nobody is here")
    await flush(nc)
    tell("flush", True)


async def wildcards(nc):
    patterns = ["a.b.c", "a.*.c", "*.b.*", "a.>", ">", "a.b.>", "*", "*.*.*", "a.*", "b.>"]
    subjects = ["a", "a.b", "a.b.c", "a.x.c", "x.b.y", "a.b.c.d", "b.c", "$SYS.x"]
    subs = {pattern: await nc.subscribe(pattern) for pattern in patterns}
    for subject in subjects:
        await nc.publish(subject, subject.encode())
    await flush(nc)
    matched = {pattern: texts(await take(sub, sub.pending_msgs)) for pattern, sub in subs.items()}
    tell("wildcards", matched)
    for sub in subs.values():
        await sub.unsubscribe()


async def queue_groups(nc, other):
    members = [await client.subscribe("work.*", queue="workers") for client in (nc, nc, other)]
    second = [await nc.subscribe("work.>", queue="auditors") for _ in range(2)]
    plain = await other.subscribe("work.a")
    await flush(other)
    for _ in range(300):
        await nc.publish("work.a", b"w")
    await flush(nc)
    await flush(other)
    counts = [sub.pending_msgs for sub in members]
    tell("queue groups", {"workers": sum(counts), "each": all(counts), "auditors": sum(s.pending_msgs for s in second),
                          "plain": plain.pending_msgs})
    for sub in members[:2] + second + [plain]:
        await sub.unsubscribe()
    for _ in range(10):
        await nc.publish("work.b", b"w")
    await flush(nc)
    await flush(other)
    tell("the last of a queue group gets all", members[2].pending_msgs - counts[2])
    await members[2].unsubscribe()


async def requests(nc, other):
    async def answer(message):
        await message.respond(message.data.upper())

    async def silent(_):
        pass

    subs = [await other.subscribe("upper", cb=answer), await other.subscribe("silent", cb=silent)]
    await flush(other)
    reply = await nc.request("upper", b"hello", timeout=PATIENCE)
    tell("request", [reply.data.decode(), reply.reply, reply.headers])
    reply = await nc.request("upper", b"hello", timeout=PATIENCE, old_style=True)
    tell("request with an inbox of its own", reply.data.decode())
    replies = await asyncio.gather(*(nc.request("upper", f"r{n}".encode(), timeout=PATIENCE) for n in range(500)))
    tell("many requests at once", texts(replies) == [f"R{n}" for n in range(500)])
    tell("no responders", await outcome(nc.request("nobody", b"", timeout=PATIENCE)))
    tell("no answer", await outcome(nc.request("silent", b"", timeout=0.1)))
    for sub in subs:
        await sub.unsubscribe()
    await flush(other)
    tell("no responders any more", await outcome(nc.request("upper", b"", timeout=PATIENCE)))
    inbox = nc.new_inbox()
    sub = await nc.subscribe(inbox)
    await nc.publish("nobody", b"x", reply=inbox)
    message = (await take(sub, 1))[0]
    tell("status of no responders", [message.subject == inbox, message.data.decode(), message.headers])
    await sub.unsubscribe()


async def headers(nc):
    sub = await nc.subscribe("h")
    sent = [{"Plain": "text", "With-Space": "a b  c", "Colon": "a:b: c"}, {"lower": "x", "LOWER": "y"},
            {"Empty": ""}, {"Unicode": "Grüße"}, {"Long": "x" * 10000}]
    for one in sent:
        await nc.publish("h", b"body", headers=one)
    await nc.publish("h", b"", headers={"No": "body"})
    received = [[m.headers, m.data.decode()] for m in await take(sub, len(sent) + 1)]
    received[4] = [len(received[4][0]["Long"]), received[4][1]]
    tell("headers", received)
    await sub.unsubscribe()


async def limits(nc):
    sub = await nc.subscribe("limited")
    await sub.unsubscribe(limit=3)
    for n in range(10):
        await nc.publish("limited", str(n).encode())
    await flush(nc)
    tell("unsubscribe after 3", texts(await take(sub, 3)) + [await outcome(sub.next_msg(timeout=0.05))])
    replies = await nc.subscribe("late")
    for n in range(5):
        await nc.publish("late", str(n).encode())
    await flush(nc)
    await replies.unsubscribe(limit=2)
    await nc.publish("late", b"5")
    await flush(nc)
    tell("unsubscribe after fewer than came", replies.pending_msgs)
    silent = await connect(no_echo=True)
    own = await silent.subscribe("echo")
    others = await nc.subscribe("echo")
    await flush(nc)
    await silent.publish("echo", b"mine")
    await flush(silent)
    tell("no echo", [own.pending_msgs, texts(await take(others, 1))])
    await others.unsubscribe()
    await silent.close()


async def too_large():
    gone = asyncio.Event()

    async def on_close():
        gone.set()

    nc = await connect(SMALL, closed_cb=on_close, allow_reconnect=False)
    limit = nc.max_payload
    tell("max payload", [limit, await outcome(nc.publish("a", b"x" * (limit + 1)))])
    # The server is asked, not the client.
    nc._max_payload = 1 << 20
    await nc.publish("a", b"x" * (limit + 1))
    await asyncio.wait_for(gone.wait(), PATIENCE)
    # What it says may be lost: it closes the connection with the rest of the payload unread.
    tell("max payload, seen by the server", nc.is_closed)


async def drains(nc):
    client = await connect()
    got = []

    async def slow(message):
        await asyncio.sleep(0)
        got.append(message.data)

    sub = await client.subscribe("drain", cb=slow)
    await flush(client)
    for _ in range(100):
        await nc.publish("drain", b"x")
    await flush(nc)
    # This client forgets what arrives while it drains.
    await flush(client)
    await sub.drain()
    tell("drain of a subscription", len(got))
    await client.subscribe("drain", cb=slow)
    await flush(client)
    for _ in range(100):
        await nc.publish("drain", b"x")
    await flush(nc)
    await client.publish("last", b"words")
    await client.drain()
    tell("drain", [len(got), client.is_closed])


async def pings():
    lost, pongs = asyncio.Event(), 0

    async def on_loss():
        lost.set()

    nc = await connect(ping_interval=1, max_outstanding_pings=2, disconnected_cb=on_loss)
    count = nc._process_pong

    async def counted():
        nonlocal pongs
        pongs += 1
        await count()

    nc._process_pong = counted
    await until(lambda: pongs >= 2)
    tell("pings", [nc.is_connected, nc._pings_outstanding])
    await nc.close()

    back = asyncio.Event()

    async def on_return():
        back.set()

    lost.clear()
    nc = await connect(ping_interval=0.1, max_outstanding_pings=2, disconnected_cb=on_loss, reconnected_cb=on_return)
    await ask("pause")
    await asyncio.wait_for(lost.wait(), PATIENCE)
    await ask("resume")
    await asyncio.wait_for(back.wait(), PATIENCE)
    await flush(nc)
    tell("max outstanding pings", nc.is_connected)
    await nc.close()


async def complaint(nc):
    """What the server says about what it was sent.

    This client closes the connection then, and forgets who waits for a round trip.
    """
    round_trip = asyncio.ensure_future(outcome(flush(nc)))
    await until(lambda: nc.last_error or round_trip.done())
    if round_trip.done() and round_trip.result():
        await until(lambda: nc.last_error)
    round_trip.cancel()
    return str(nc.last_error)


async def modes():
    async def answer(message):
        await message.respond(b"yes")

    for mode in [{"verbose": True}, {"pedantic": True}, {"verbose": True, "pedantic": True}]:
        nc = await connect(**mode)
        sub = await nc.subscribe("question", cb=answer)
        replies = [await nc.request("question", b"?", headers={"A": "b"}, timeout=PATIENCE) for _ in range(3)]
        tell(" and ".join(mode), texts(replies))
        await sub.unsubscribe()
        await nc.close()
    for mode in [{}, {"pedantic": True}]:
        for subject in ["foo..bar", "foo.*", "foo.>.bar", ".foo", "foo."]:
            nc = await connect(**mode, skip_subject_validation=True, allow_reconnect=False)
            await nc.publish(subject, b"x")
            tell(f"publish to {subject}{', pedantic' if mode else ''}", await complaint(nc))
            await nc.close()
    for subject in ["foo..bar", "foo.>.bar", ".foo", "foo.", "foo.b*r", "foo.>x"]:
        nc = await connect(skip_subject_validation=True, allow_reconnect=False)
        await nc.subscribe(subject)
        tell(f"subscribe to {subject}", await complaint(nc))
        await nc.close()


def steady(reply):
    """An answer of a micro-service without what differs from run to run."""
    value = json.loads(reply.data)
    for key in ("id", "started"):
        assert value.pop(key, True)
    for endpoint in value.get("endpoints", []):
        for key in ("processing_time", "average_processing_time"):
            endpoint.pop(key, None)
    return value


async def micro_service(nc):
    async def echo(request):
        await request.respond(request.data, headers=request.headers)

    async def fail(request):
        raise ServiceError("409", "no such thing")

    async def crash(request):
        raise ValueError("oops")

    client = await connect()
    service = await nats.micro.add_service(client, name="calc", version="1.2.3", description="it counts",
                                           metadata={"team": "sales"})
    await service.add_endpoint(EndpointConfig(name="echo", handler=echo))
    group = service.add_group(name="math", queue_group="m")
    await group.add_endpoint(EndpointConfig(name="fail", handler=fail))
    await group.add_endpoint(EndpointConfig(name="crash", subject="crash.*", handler=crash))
    await flush(client)
    reply = await nc.request("echo", b"hi", headers={"A": "b"}, timeout=PATIENCE)
    tell("micro: request", [reply.data.decode(), reply.headers])
    for subject in ("math.fail", "math.crash.now"):
        reply = await nc.request(subject, b"", timeout=PATIENCE)
        tell(f"micro: error of {subject}", [reply.data.decode(), reply.headers])
    for verb in ("PING", "INFO", "STATS"):
        for where in ("", ".calc", f".calc.{service.id}"):
            reply = await nc.request(f"$SRV.{verb}{where}", b"", timeout=PATIENCE)
            tell(f"micro: {verb} of {'all' if not where else 'it' if where == '.calc' else 'this one'}", steady(reply))
    tell("micro: another", await outcome(nc.request("$SRV.PING.other", b"", timeout=PATIENCE)))
    twin = await nats.micro.add_service(client, name="calc", version="1.2.4")
    await flush(client)
    inbox = nc.new_inbox()
    sub = await nc.subscribe(inbox)
    await nc.publish("$SRV.PING.calc", b"", reply=inbox)
    tell("micro: all instances answer", sorted(steady(m)["version"] for m in await take(sub, 2)))
    await sub.unsubscribe()
    await twin.stop()
    await service.stop()
    await flush(client)
    tell("micro: stopped", await outcome(nc.request("$SRV.PING.calc", b"", timeout=PATIENCE)))
    await client.close()


async def restarts():
    seen = []

    def note(what):
        async def noted():
            seen.append(what)
        return noted

    async def answer(message):
        await message.respond(b"again")

    nc = await connect(disconnected_cb=note("lost"), reconnected_cb=note("back"))
    await nc.subscribe("question", cb=answer)
    sub = await nc.subscribe("kept")
    await flush(nc)
    await ask("stop")
    await until(lambda: "lost" in seen)
    await nc.publish("kept", b"said meanwhile")
    await ask("start")
    await until(lambda: "back" in seen)
    reply = await nc.request("question", b"?", timeout=PATIENCE)
    tell("reconnect", [seen, texts(await take(sub, 1)), reply.data.decode()])
    await nc.close()


async def lame_duck():
    seen = []

    def note(what):
        async def noted():
            seen.append(what)
        return noted

    nc = await connect(lame_duck_mode_cb=note("lame duck"), closed_cb=note("closed"), allow_reconnect=False)
    await flush(nc)
    await ask("lame duck")
    await until(lambda: "closed" in seen)
    tell("lame duck", seen)


async def main():
    await connecting()
    await credentials()
    nc, other = await connect(), await connect()
    await publishing(nc)
    await wildcards(nc)
    await queue_groups(nc, other)
    await requests(nc, other)
    await headers(nc)
    await limits(nc)
    await too_large()
    await drains(nc)
    await modes()
    await micro_service(nc)
    await nc.close()
    await other.close()
    await pings()
    await restarts()
    await lame_duck()


asyncio.run(main())
