"""A gRPC server that answers with what it gets, in bytes: no messages, no generated code.

With a second argument it writes down there which calls have come, by their `x-request-id`, before it answers them.
"""

import os
import sys
import time
from concurrent import futures

import grpc


def trailers(context):
    told = dict(context.invocation_metadata())
    context.send_initial_metadata((("x-initial", "1"),))
    context.set_trailing_metadata((("x-seen-subject", told.get("x-auth-subject", "-")), ("x-detail-bin", b"\x00\xff")))


class Ledger(grpc.ServerInterceptor):
    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def intercept_service(self, continuation, handler_call_details):
        told = dict(handler_call_details.invocation_metadata)
        os.write(self.file, f"received {told['x-request-id']}\n".encode())
        return continuation(handler_call_details)


def unary(request, context):
    # Until it is cancelled, or the server gone.
    while request == b"hold" and context.is_active():
        time.sleep(0.01)
    trailers(context)
    if request == b"fail":
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as asked: 100% \u00e9")
    return request


def listing(request, context):
    trailers(context)
    for number in range(int(request)):
        yield str(number).encode()


def endless(request, context):
    context.add_callback(lambda: print("ended", flush=True))
    while context.is_active():
        yield b"x"
        time.sleep(0.01)


def collecting(requests, context):
    trailers(context)
    return b",".join(requests)


def echoing(requests, context):
    trailers(context)
    yield from requests


METHODS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Listing": grpc.unary_stream_rpc_method_handler(listing),
    "Endless": grpc.unary_stream_rpc_method_handler(endless),
    "Collecting": grpc.stream_unary_rpc_method_handler(collecting),
    "Echoing": grpc.stream_stream_rpc_method_handler(echoing),
}

options = [("grpc.max_receive_message_length", 1 << 20)]
interceptors = [Ledger(path) for path in sys.argv[2:]]
server = grpc.server(futures.ThreadPoolExecutor(8), options=options, interceptors=interceptors)
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.v1.Test", METHODS),))
port = server.add_insecure_port(sys.argv[1])
server.start()
print(f"serves {port}", flush=True)
server.wait_for_termination()
