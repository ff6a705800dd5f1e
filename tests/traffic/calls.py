"""A gRPC client: calls of every kind, some of them refused, some that end with their server only. What became of each is
said in a line of JSON. SIGTERM ends it."""

import itertools
import json
import signal
import sys
import threading
import time

import grpc

TARGET, GOOD, POOR = sys.argv[1:4]
SERVICE = "/test.v1.Test/"
# What is sent twice would be the gateway's doing.
options = [("grpc.default_authority", "api.example.com"), ("grpc.enable_retries", 0), ("grpc.enable_http_proxy", 0)]
channel = grpc.insecure_channel(TARGET, options=options)
ends = threading.Event()
numbers = itertools.count()
endless = {}


def told(id, **what):
    print(json.dumps({"id": id, **what}) + "\n", end="", flush=True)


def call(kind, token, method, make, whole):
    """Makes one call; `whole` is what all of its answers must be, `None` where it has no end of its own."""
    id = f"{kind}-{next(numbers)}"
    metadata = [("x-request-id", id)] + ([("authorization", f"Bearer {token}")] if token else [])
    stream = make(method, metadata)
    if whole is None:
        endless[id] = stream
    seen = []
    try:
        for message in stream:
            seen.append(message)
            if whole is None and len(seen) == 1:
                told(id, begun=True)
        told(id, code="OK", details="", whole=seen == whole)
    except grpc.RpcError as error:
        told(id, code=error.code().name, details=error.details(), whole=seen == whole)
    endless.pop(id, None)


def streamed(method, request):
    return lambda _, metadata: channel.unary_stream(SERVICE + method)(request, metadata=metadata)


def sent(method, *messages):
    return lambda _, metadata: channel.stream_stream(SERVICE + method)(iter(messages), metadata=metadata)


# A call with one answer is a stream of one on the wire.
KINDS = [
    [("call-unary", GOOD, "Unary", streamed("Unary", b"hello"), [b"hello"]),
     ("call-collecting", GOOD, "Collecting", sent("Collecting", b"a", b"b"), [b"a,b"]),
     ("refused-scope_insufficient-call", POOR, "Unary", streamed("Unary", b""), [])],
    [("call-listing", GOOD, "Listing", streamed("Listing", b"50"), [str(number).encode() for number in range(50)]),
     ("call-echoing", GOOD, "Echoing", sent("Echoing", b"a", b"b", b"c"), [b"a", b"b", b"c"]),
     ("refused-token_missing-call", None, "Listing", streamed("Listing", b"1"), [])],
    [("call-held", GOOD, "Unary", streamed("Unary", b"hold"), None)],
    [("call-endless", GOOD, "Endless", streamed("Endless", b""), None)],
    [("call-endless", GOOD, "Endless", streamed("Endless", b""), None)],
]


def forever(kinds):
    for kind in itertools.cycle(kinds):
        if ends.is_set():
            return
        call(*kind)
        time.sleep(0.02)


def end(*_):
    ends.set()


signal.signal(signal.SIGTERM, end)
threads = [threading.Thread(target=forever, args=[kinds]) for kinds in KINDS]
for thread in threads:
    thread.start()
while any(thread.is_alive() for thread in threads):
    ends.wait(1)
    if ends.is_set():
        for stream in list(endless.values()):
            stream.cancel()
        for thread in threads:
            thread.join(0.05)
