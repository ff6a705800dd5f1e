"""An upstream server that can be killed at any moment: HTTP/1.1, event streams, WebSockets.

What has come, and what was acted upon, is in its ledger before anything is answered. SIGUSR2 makes it act upon nothing
more, SIGUSR1 ends its event streams as they should end.
"""

import asyncio
import os
import random
import signal
import sys

from aiohttp import WSMsgType, web

ADDRESS, NAME, LEDGER = sys.argv[1:4]
ledger = os.open(LEDGER, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
holds, ends = asyncio.Event(), asyncio.Event()


def note(what, request):
    os.write(ledger, f"{what} {request.path.rsplit('/', 1)[1]}\n".encode())


def hold():
    holds.set()
    print("holds", flush=True)


async def act(request):
    note("received", request)
    await request.read()
    # Long enough to be killed in.
    await asyncio.sleep(random.uniform(0, 0.004))
    if holds.is_set():
        await asyncio.Event().wait()
    note("acted", request)
    return web.Response(text=request.path.rsplit("/", 1)[1])


async def events(request):
    note("received", request)
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    number = 0
    while not ends.is_set():
        await answer.write(f"data: {NAME} {number}\n\n".encode())
        number += 1
        await asyncio.sleep(0.1)
    await answer.write(b"data: the end\n\n")
    return answer


async def socket(request):
    note("received", request)
    answer = web.WebSocketResponse()
    await answer.prepare(request)
    await answer.send_str(NAME)
    async for message in answer:
        if message.type == WSMsgType.TEXT:
            await answer.send_str(message.data)
    return answer


async def serve():
    application = web.Application()
    application.router.add_get("/live/{place}/events/{id}", events)
    application.router.add_get("/live/{place}/socket/{id}", socket)
    application.router.add_route("*", "/{place:.*}", act)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, ends.set)
    loop.add_signal_handler(signal.SIGUSR2, hold)
    host, port = ADDRESS.rsplit(":", 1)
    await web.TCPSite(runner, host, int(port)).start()
    print("serves", flush=True)
    await asyncio.Event().wait()


asyncio.run(serve())
