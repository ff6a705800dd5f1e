"""What a running gateway holds and uses by what there is: services, tokens alive, idle connections.

    scale.py            prints Markdown rows; needs `make release` and, once, `make compare` (for its tokens)

Megabytes are the resident memory of the process; CPU is that of all its threads.
"""

import pathlib
import resource
import socket
import tempfile
import time

import load
import peers

CONNECTIONS = 10_000
# A wait is over that fast that only what an idle gateway does of itself is measured.
IDLE_SECONDS = 10


def main():
    if not (peers.TARGET / "tokens" / "good").exists():
        raise SystemExit("no tokens to ask with: run `make compare` first")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 2 * CONNECTIONS + 1000), most))
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        folder = pathlib.Path(name)
        upstream, port = peers.start_upstream(folder)
        try:
            services(folder, port)
            tokens(folder, port)
            connections(folder, port)
        finally:
            upstream.stop()


def services(folder, upstream):
    print("| services | MB |\n|---|---|")
    for count in (10, 1_000, 10_000, 100_000):
        name = f"scopegate-with-{count}"
        peers.PEERS[name] = peers.scopegate(count)
        gateway, port = peers.start(name, folder, upstream)
        assert load.status(port, load.token("good")) == 200
        print(f"| {count:,} | {megabytes(gateway)} |", flush=True)
        gateway.stop()


def tokens(folder, upstream):
    """Tokens that were seen once and are alive, of 664 bytes each."""
    gateway, port = peers.start("scopegate", folder, upstream)
    load.measure(gateway, port, "one token", 2, "allowed")
    before = gateway.memory()
    print(f"\n| tokens | MB | bytes a token |\n|---|---|---|\n| 1 | {megabytes(gateway)} | |", flush=True)
    for kind in ("10,000 tokens in turn", "100,000 tokens in turn"):
        while not load.is_warm(gateway, kind):
            load.measure(gateway, port, kind, 2, "allowed")
        count = load.LOADS[kind][2]
        each = (gateway.memory() - before) / count
        print(f"| {count:,} | {megabytes(gateway)} | {each:,.0f} |", flush=True)
    gateway.stop()


def connections(folder, upstream):
    """Connections that each had one request and wait for the next."""
    gateway, port = peers.start("scopegate", folder, upstream)
    request = (f"GET {load.ALLOWED} HTTP/1.1\r\nHost: api.example.com\r\n"
               f"Authorization: Bearer {load.token('good')}\r\n\r\n").encode()
    before, held = gateway.memory(), []
    for number in range(CONNECTIONS):
        held.append(socket.create_connection(("127.0.0.1", port)))
        held[-1].sendall(request)
        assert held[-1].recv(4096).startswith(b"HTTP/1.1 200")
    each = (gateway.memory() - before) / CONNECTIONS
    used = gateway.cpu()
    time.sleep(IDLE_SECONDS)
    used = (gateway.cpu() - used) / IDLE_SECONDS
    print(f"\n| idle connections | MB | bytes a connection | CPU |\n|---|---|---|---|\n"
          f"| {CONNECTIONS:,} | {megabytes(gateway)} | {each:,.0f} | {used:.1%} of a core |", flush=True)
    gateway.stop()


def megabytes(process):
    return f"{process.memory() / 1e6:,.0f}"


if __name__ == "__main__":
    main()
