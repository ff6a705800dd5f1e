"""Instructions and allocations a request in user space, by callgrind: the gateway's and an empty Pingora proxy's.

    counts.py [PROXY...]           needs valgrind, and `make compare` once, for its programs and tokens

Requests come one after another on one connection, with one token that was seen before. The files
target/compare/*.callgrind are for callgrind_annotate (`--inclusive=yes` shows what a part takes in all).
"""

import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time

import load
import peers

REQUESTS = 500
# What is sent, the token that goes with it, its body, and the end of the answer.
KINDS = {
    "good": ("allowed", "good", "", b"0123456789abcdef"),
    "post": ("allowed: a POST of 100 bytes", "good", "x" * 100, b"0123456789abcdef"),
    "none": ("refused: no token", None, "", b'"}'),
    "expired": ("refused: expired", "expired", "", b'"}'),
}
ASKED = [
    ("empty-pingora", "good"), ("scopegate", "good"), ("scopegate-candidate", "good"), ("empty-pingora", "post"),
    ("scopegate", "post"), ("scopegate", "none"), ("scopegate", "expired"),
]
# The outermost function of each allocator.
ALLOCATES = re.compile(r"^(mi_malloc_aligned|mi_zalloc_aligned|mi_realloc_aligned|malloc|calloc|realloc|posix_memalign)$")


def main():
    with tempfile.TemporaryDirectory(prefix="counts-") as name:
        folder = pathlib.Path(name)
        upstream, port = peers.start_upstream(folder)
        print("| proxy | instructions a request | allocations a request |\n|---|---|---|")
        try:
            for peer, kind in ASKED:
                if sys.argv[1:] and peer not in sys.argv[1:]:
                    continue
                instructions, allocations = count(peer, kind, folder, port)
                name = f"{peer}, {KINDS[kind][0]}"
                print(f"| {name} | {instructions / REQUESTS:,.0f} | {allocations / REQUESTS:.1f} |", flush=True)
        finally:
            upstream.stop()


def count(peer, kind, folder, upstream):
    out = peers.TARGET / f"{peer}-{kind}.callgrind"
    valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}"]
    plain = peers.PEERS[peer]
    peers.PEERS[peer] = lambda *arguments: valgrind + plain(*arguments)
    proxy, port = peers.start(peer, folder, upstream)
    peers.PEERS[peer] = plain
    connection = socket.create_connection(("127.0.0.1", port))
    ask(connection, kind, 50)
    control(proxy, "--instr=on")
    ask(connection, kind, REQUESTS)
    control(proxy, "--instr=off")
    control(proxy, "--dump")
    time.sleep(1)
    proxy.stop()
    # A dump has a number; the file of the end is empty.
    pathlib.Path(f"{out}.1").replace(out)
    return read(out)


def control(proxy, what):
    subprocess.run(["callgrind_control", what, str(proxy.process.pid)], check=True, capture_output=True)


def ask(connection, kind, times):
    bearer, body, end = KINDS[kind][1:]
    token = f"Authorization: Bearer {load.token(bearer)}\r\n" if bearer else ""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    request = (f"{'POST' if body else 'GET'} {load.ALLOWED} HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: wrk\r\n"
               f"Accept: */*\r\n{length}{token}\r\n{body}").encode()
    for _ in range(times):
        connection.sendall(request)
        answer = b""
        while not answer.endswith(end):
            answer += connection.recv(65536)


def read(file):
    """Instructions, and calls of what allocates; the allocators' own calls do not count."""
    names, allocations, caller, called, total = {}, 0, "", "", 0
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        if found := re.match(r"(c?)fn=\((\d+)\)(?: (.*))?$", line):
            names.setdefault(found[2], found[3])
            if found[1]:
                called = names[found[2]]
            else:
                caller = names[found[2]]
        elif found := re.match(r"calls=(\d+)", line):
            if ALLOCATES.match(called or "") and not ALLOCATES.match(caller or ""):
                allocations += int(found[1])
        elif found := re.match(r"(?:totals|summary): (\d+)", line):
            total = int(found[1])
    return total, allocations


if __name__ == "__main__":
    main()
