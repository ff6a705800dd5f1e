"""A client of WebSockets: some stay as long as they may, others come and go, some are refused. What became of each is
said in a line of JSON. SIGTERM ends it."""

import asyncio
import json
import signal
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

ADDRESS, GOOD, POOR, FLIP = sys.argv[1:5]
ends = asyncio.Event()
numbers = iter(range(1 << 60))


def told(id, **what):
    print(json.dumps({"id": id, **what}), flush=True)


async def opened(id, place, token, most):
    """Opens one, has so many messages echoed, and closes it, unless it is ended before."""
    # Whoever runs this has patience of its own.
    patience = {"open_timeout": None, "ping_interval": None, "close_timeout": None, "proxy": None}
    headers = {"Authorization": f"Bearer {token}"}
    url = f"ws://{ADDRESS}/live/{place}/socket/{id}"
    echoed, server = 0, None
    try:
        async with connect(url, additional_headers=headers, **patience) as socket:
            server = await socket.recv()
            told(id, opened=server)
            while echoed < most and not ends.is_set():
                await socket.send(f"{id} {echoed}")
                answer = await socket.recv()
                assert answer == f"{id} {echoed}", answer
                echoed += 1
                await asyncio.sleep(0.03)
        told(id, status=101, server=server, echoed=echoed, code=None, reason="")
    except InvalidStatus as error:
        reason = error.response.body and json.loads(error.response.body)["reason"]
        told(id, status=error.response.status_code, reason=reason)
    except ConnectionClosed as error:
        code, reason = (error.rcvd.code, error.rcvd.reason) if error.rcvd else (None, "")
        told(id, status=101, server=server, echoed=echoed, code=code or 1006, reason=reason)


async def forever(kind, place, token, most):
    while not ends.is_set():
        await opened(f"{kind}-{next(numbers)}", place, token, most)
        await asyncio.sleep(0.03)


async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ends.set)
    kinds = [("socket-long", "scoped", GOOD, 1 << 60)] * 6 + [("socket-short", "scoped", GOOD, 5)] * 2
    kinds += [("flip-socket", "flip", FLIP, 1 << 60), ("refused-scope_insufficient-socket", "scoped", POOR, 0)]
    await asyncio.gather(*(forever(*kind) for kind in kinds))


asyncio.run(main())
