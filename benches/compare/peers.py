"""The proxies that are compared: how each is configured, started on one core, asked for its CPU time, and ended.

Configurations are the files under configs/, with @NAMES@ that are filled in here. What is asked of
them is load.py's.
"""

import os
import pathlib
import socket
import subprocess
import time

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
TARGET = ROOT / "target" / "compare"
ENVOY = TARGET / "envoy" / "bin" / "envoy"

PROXY_CORE = "0"
LOAD_CORE = "1"
TICKS = os.sysconf("SC_CLK_TCK")


class Process:
    """A program on a core of its own, from its start to its end."""

    def __init__(self, command, core, folder, name):
        log = open(folder / f"{name}.out", "wb")
        self.process = subprocess.Popen(["taskset", "-c", core, *map(str, command)], stdout=log, stderr=log, cwd=folder)
        self.name = name

    def cpu(self):
        """Seconds of CPU that it and its children have used."""
        return sum(ticks(pid) for pid in family(self.process.pid)) / TICKS

    def memory(self):
        """Bytes that it and its children hold."""
        return sum(resident(pid) for pid in family(self.process.pid))

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def family(pid):
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid] + [one for child in children for one in family(int(child))]


def ticks(pid):
    # After the name, which may contain anything: fields 14 and 15 of proc(5).
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def resident(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)


def free_port():
    # Below those of outgoing connections, so that none of these takes it.
    for port in range(21000 + os.getpid() % 5000, 32000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in taken:
            taken.add(port)
            return port
    raise SystemExit("no free port")


taken = set()


def wait_for(port, process):
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.process.poll() is not None:
            break
        time.sleep(0.1)
    raise SystemExit(f"{process.name} does not listen; see {process.name}.out in {TARGET}")


def filled(name, **values):
    text = (HERE / "configs" / name).read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    return text


def start_upstream(folder):
    """The upstream, on the core of the load; its port."""
    port = free_port()
    path = folder / "upstream.conf"
    path.write_text(filled("upstream.conf", LISTEN=f"127.0.0.1:{port}", FOLDER=folder))
    process = Process(["nginx", "-c", path], LOAD_CORE, folder, "upstream")
    wait_for(port, process)
    return process, port


def start(peer, folder, upstream):
    """One of PEERS, listening; its process and port."""
    port, admin = free_port(), free_port()
    names = {
        "FOLDER": folder, "TOKENS": TARGET / "tokens", "LISTEN": f"127.0.0.1:{port}", "LISTEN_PORT": port,
        "ADMIN": f"127.0.0.1:{admin}", "ADMIN_PORT": admin, "UPSTREAM": f"127.0.0.1:{upstream}", "UPSTREAM_PORT": upstream,
    }
    process = Process(PEERS[peer](peer, folder, names), PROXY_CORE, folder, peer)
    wait_for(port, process)
    return process, port


def nginx(peer, folder, names):
    path = folder / f"{peer}.conf"
    path.write_text(filled("nginx.conf", **names))
    return ["nginx", "-c", path]


def haproxy(peer, folder, names):
    path = folder / f"{peer}.cfg"
    path.write_text(filled(f"{peer}.cfg", **names))
    return ["haproxy", "-db", "-f", path]


def empty_pingora(_peer, _folder, names):
    return [ROOT / "target" / "release" / "empty_proxy", names["LISTEN"], names["UPSTREAM"]]


def scopegate(services, candidate=False):
    def command(peer, folder, names):
        path = folder / f"{peer}.yaml"
        folder = folder / peer
        folder.mkdir(exist_ok=True)
        text = filled("gateway.yaml", APIS=apis(services), **{**names, "FOLDER": folder})
        if candidate:
            (path.parent / "candidate.yaml").write_text(text)
            text += "\nshadow: { file: candidate.yaml }\n"
        path.write_text(text)
        return [os.environ.get("SCOPEGATE", ROOT / "target" / "release" / "scopegate"), "serve", "--config", path]
    return command


def apis(services):
    """Ten services a scope and ten scopes an api; the first api is the one that is called."""
    kinds = "packets packages documents aliases fields forms rules plans states audits".split()
    lines = []
    scopes = max(services // 10, 1)
    for number in range(max(scopes, 2)):
        base = "/integration/default-data" if number < 10 else f"/integration/api-{number // 10}"
        if number % 10 == 0:
            lines += [f"  - name: api-{number // 10}", f"    base_path: {base}", "    upstream: integration",
                      "    account: { path: account }", "    scopes:"]
        suffix = f"-{number}" if number else ""
        lines += [f"      - name: scope-{number}", "        accounts: own", "        services:"]
        lines += [f'          - "GET,POST {base}/{{account}}/{kind}{suffix}/**"' for kind in kinds]
    return "\n".join(lines)


def envoy(policies, cache="jwt_cache_size: 200000"):
    def command(peer, folder, names):
        path = folder / f"{peer}.yaml"
        text = filled("envoy.yaml", CACHE=cache, POLICIES="\n".join(envoy_policies(policies)), **names)
        path.write_text(text)
        return [ENVOY, "-c", path, "--concurrency", "1", "--log-level", "error", "--disable-hot-restart"]
    return command


def envoy_policies(count):
    claim = "filter: envoy.filters.http.jwt_authn, path: [{ key: claims }, { key: %s }]"
    for number in range(count):
        # The one that is asked for is found after half of the others, on average.
        account = "acme" if number == count // 2 else f"account-{number}"
        scope = "{ metadata: { %s, value: { string_match: { safe_regex: { regex: '(.* )?scope-0( .*)?' } } } } }"
        owner = "{ metadata: { %s, value: { string_match: { exact: %s } } } }" % (claim % "account_id", account)
        yield f"                          {account}:"
        yield "                            permissions:"
        yield f"                              - url_path: {{ path: {{ prefix: /integration/default-data/{account}/ }} }}"
        yield "                            principals:"
        yield f"                              - and_ids: {{ ids: [{scope % (claim % 'scope')}, {owner}] }}"


# By name: what makes the command, having written the configuration.
PEERS = {
    "nginx": nginx,
    "haproxy-proxy": haproxy,
    "haproxy-jwt": haproxy,
    "empty-pingora": empty_pingora,
    "envoy": envoy(1),
    "envoy-default-cache": envoy(1, ""),
    "envoy-1000": envoy(1000),
    "scopegate": scopegate(10),
    "scopegate-100000": scopegate(100_000),
    "scopegate-candidate": scopegate(10, candidate=True),
}
