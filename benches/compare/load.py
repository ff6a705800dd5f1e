"""Requests to a proxy: single ones that check its answers, and wrk for a while, with the CPU time a request.

Nothing here knows which proxy it is.
"""

import http.client
import re
import subprocess

from peers import HERE, LOAD_CORE, TARGET

ALLOWED = "/integration/default-data/acme/packets/42?view=full"
CONNECTIONS = 32

# Kind of token, the file it is in, how many of it in turn.
LOADS = {
    "one token": ("good", "good", 1),
    "10,000 tokens in turn": ("good", "good", 10_000),
    "100,000 tokens in turn": ("good", "good", 100_000),
    "no token": ("none", "good", 1),
    "bad signature, each new": ("forged", "good", 1),
    "expired": ("good", "expired", 1),
}


# Process and load to how many were sent, so that tokens go on in turn where the last run stopped.
sent = {}


def token(name):
    with open(TARGET / "tokens" / name, encoding="ascii") as file:
        return file.readline().strip()


def status(port, bearer=None, target=ALLOWED):
    """The status of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    headers = {"Host": "api.example.com"} | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
    connection.request("GET", target, headers=headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def check(port, expected):
    """Asks with tokens of every kind; what differs from `expected` (kind: status), as texts."""
    good = token("good")
    forged = good[:-20] + ("A" if good[-20] != "A" else "B") + good[-19:]
    bearers = {
        "good": good, "none": None, "forged": forged, "expired": token("expired"),
        "wrong scope": token("wrong_scope"), "wrong account": token("wrong_account"),
    }
    got = {kind: status(port, bearers[kind]) for kind in expected}
    return [f"{kind}: {got[kind]} instead of {wanted}" for kind, wanted in expected.items() if got[kind] != wanted]


def measure(process, port, load, seconds, wanted):
    """Microseconds of the proxy's CPU a request, and requests a second; every answer must be of `wanted` kind."""
    kind, file, count = LOADS[load]
    before = sent.setdefault((process.name, load), 0)
    command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "20s",
               "-s", HERE / "load.lua", f"http://127.0.0.1:{port}", "--", kind, TARGET / "tokens" / file, str(count),
               ALLOWED, str(before)]
    idle = process.cpu()
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used = process.cpu() - idle
    requests = int(re.search(r"(\d+) requests in", said)[1])
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    refused = int(refused[1]) if refused else 0
    broken = re.search(r"Socket errors: .*", said)
    if broken or requests == 0 or refused != (requests if wanted == "refused" else 0):
        raise SystemExit(f"{process.name}, {load}: not as expected\n{said}")
    sent[process.name, load] += requests
    return used / requests * 1e6, requests / seconds


def is_warm(process, load):
    """Whether each of the load's tokens was sent once."""
    return sent.get((process.name, load), 0) >= LOADS[load][2]
