"""What a gRPC client sees of the gateway: every kind of call, refusals, deadlines, cancelled calls."""

import queue
import sys
import threading

import grpc

TARGET, GOOD, POOR, SHORT = sys.argv[1:5]
SERVICE = "/test.v1.Test/"
channel = grpc.insecure_channel(TARGET, options=[("grpc.default_authority", "api.example.com")])
good, poor = [("authorization", f"Bearer {GOOD}")], [("authorization", f"Bearer {POOR}")]


def check(name, condition, told=""):
    print(("good  " if condition else "WRONG ") + name, "" if condition else told, flush=True)
    if not condition:
        sys.exit(1)


def metadata(pairs):
    return {name: value for name, value in pairs or ()}


# Calls that their token does not outlive: one in which something is said all the time, and one in which nothing is.
short = [("authorization", f"Bearer {SHORT}")]
busy = channel.unary_stream(SERVICE + "Endless")(b"", metadata=short, timeout=60)
next(busy)
unsaid = queue.Queue()
idle = channel.stream_stream(SERVICE + "Echoing")(iter(unsaid.get, None), metadata=short, timeout=60)

# Each kind of call, with metadata before and after.
call = channel.unary_unary(SERVICE + "Unary")
answer, told = call.with_call(b"hello", metadata=good, timeout=20)
after = metadata(told.trailing_metadata())
check("unary", answer == b"hello" and metadata(told.initial_metadata()).get("x-initial") == "1", answer)
check("trailers", after.get("x-seen-subject") == "somebody" and after.get("x-detail-bin") == b"\x00\xff", after)
large = bytes(1 << 19)
check("half a megabyte", call(large, metadata=good, timeout=20) == large)
answers = list(channel.unary_stream(SERVICE + "Listing")(b"500", metadata=good, timeout=20))
check("server streaming", answers == [str(number).encode() for number in range(500)], answers[:3])
answer = channel.stream_unary(SERVICE + "Collecting")(iter([b"a", b"b", b"c"]), metadata=good, timeout=20)
check("client streaming", answer == b"a,b,c", answer)
# Each message is answered before the next is sent.
asks = queue.Queue()
answers = channel.stream_stream(SERVICE + "Echoing")(iter(asks.get, None), metadata=good, timeout=20)
for message in (b"one", b"two", b""):
    asks.put(message)
    check("both streaming", next(answers) == message)
asks.put(None)
check("its end", list(answers) == [] and answers.code() == grpc.StatusCode.OK)


def refused(name, what, code, part):
    try:
        told = what()
        # A stream says so when it is read.
        list(told) if hasattr(told, "__iter__") and not isinstance(told, bytes) else None
    except grpc.RpcError as error:
        good = error.code() == code and part in (error.details() or "")
        check(name, good, f"{error.code()} {error.details()}")
        return metadata(error.trailing_metadata())
    check(name, False, "it was not refused")


# The server's own refusal, and the gateway's.
told = refused("the server's status", lambda: call(b"fail", metadata=good, timeout=20),
               grpc.StatusCode.FAILED_PRECONDITION, "as asked: 100% \u00e9")
check("its trailers", told.get("x-detail-bin") == b"\x00\xff", told)
told = refused("no token", lambda: call(b"", timeout=20), grpc.StatusCode.UNAUTHENTICATED, "token_missing: ")
check("its challenge", told.get("www-authenticate", "").startswith("Bearer"), told)
told = refused("too little scope", lambda: call(b"", metadata=poor, timeout=20),
               grpc.StatusCode.PERMISSION_DENIED, "scope_insufficient: ")
details = told.get("grpc-status-details-bin", b"")
check("its details", b"google.rpc.ErrorInfo" in details and b"SCOPE_INSUFFICIENT" in details and b"test-all" in details)
refused("no such method", lambda: channel.unary_unary("/test.v1.Test/None")(b"", metadata=good, timeout=20),
        grpc.StatusCode.UNIMPLEMENTED, "route_unknown: ")
for name, kind, request in [("Listing", channel.unary_stream, b"1"), ("Collecting", channel.stream_unary, iter([b"a"] * 9)),
                            ("Echoing", channel.stream_stream, iter([b"a"] * 9))]:
    refused(f"a stream without a token: {name}", lambda: kind(SERVICE + name)(request, timeout=20),
            grpc.StatusCode.UNAUTHENTICATED, "token_missing: ")
# The server's bound, said by the server.
refused("a message too large for the server", lambda: call(bytes((1 << 20) + 1), metadata=good, timeout=20),
        grpc.StatusCode.RESOURCE_EXHAUSTED, "")
# Deadlines and cancelled calls end at the server, too: its script says so.
refused("a deadline", lambda: channel.unary_stream(SERVICE + "Endless")(b"", metadata=good, timeout=1),
        grpc.StatusCode.DEADLINE_EXCEEDED, "")
endless = channel.unary_stream(SERVICE + "Endless")(b"", metadata=good, timeout=60)
next(endless)
threading.Timer(0.2, endless.cancel).start()
refused("a cancelled call", lambda: list(endless), grpc.StatusCode.CANCELLED, "")
for name, outlived in (("a busy call", busy), ("an idle call", idle)):
    refused(f"{name} beyond its token", lambda: list(outlived), grpc.StatusCode.UNAUTHENTICATED, "token_expired: ")
unsaid.put(None)
check("and then", call(b"still there", metadata=good, timeout=20) == b"still there")
