"""Installs the Debian package, starts what it installs as its unit says, and removes it again.

All of it happens in a copy of this machine's files (an overlay in memory, in namespaces of its own), so that
nothing is left: `check.py PACKAGE.deb`, as root. `make test-deb` runs it.
"""

import fcntl
import gzip
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

UNIT = "/lib/systemd/system/scopegate.service"
CONFFILE = "/etc/scopegate/gateway.yaml"
PATIENCE = 20


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


class Machine:
    """A copy of this machine's files."""

    def __init__(self):
        base = pathlib.Path(tempfile.mkdtemp())
        run("mount", "-t", "tmpfs", "none", base)
        upper, work, self.root = (base / name for name in ("upper", "work", "root"))
        for folder in (upper, work, self.root):
            folder.mkdir()
        run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={upper},workdir={work}", self.root)
        for folder in ("proc", "dev"):
            run("mount", "--rbind", f"/{folder}", self.root / folder)
        # As on a machine without systemd at work: the package's scripts must not ask one that is not this machine's.
        run("mount", "-t", "tmpfs", "none", self.root / "run")
        run("mount", "-t", "tmpfs", "none", self.root / "tmp")

    def run(self, *command):
        return run("chroot", self.root, *command, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})

    def path(self, path):
        return self.root / path.lstrip("/")

    def has(self, path):
        return os.path.lexists(self.path(path))


def raise_loopback():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        up_and_running = 0x1 | 0x40
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh22x", b"lo", up_and_running))


def installed(machine):
    listed = machine.run("dpkg", "-L", "scopegate").split()
    for path in ("/usr/bin/scopegate", CONFFILE, UNIT, "/lib/systemd/system/scopegate.socket",
                 "/usr/lib/sysusers.d/scopegate.conf", "/usr/share/man/man1/scopegate.1.gz",
                 "/usr/share/man/man1/scopegate-serve.1.gz", "/usr/share/bash-completion/completions/scopegate",
                 "/usr/share/zsh/vendor-completions/_scopegate", "/usr/share/fish/vendor_completions.d/scopegate.fish",
                 "/usr/share/scopegate/gateway.schema.json", "/usr/share/doc/scopegate/README.md",
                 "/usr/share/doc/scopegate/copyright", "/usr/share/doc/scopegate/docs/upgrading.md"):
        assert path in listed and machine.has(path), path
    assert ".SH" in gzip.decompress(machine.path("/usr/share/man/man1/scopegate.1.gz").read_bytes()).decode()
    machine.run("bash", "-n", "/usr/share/bash-completion/completions/scopegate")
    json.loads(machine.path("/usr/share/scopegate/gateway.schema.json").read_text())
    assert machine.run("scopegate", "--version").startswith("scopegate "), "the version"
    assert "libc6" in machine.run("dpkg-query", "-W", "-f", "${Depends}", "scopegate")
    assert CONFFILE in machine.run("dpkg-query", "-W", "-f", "${Conffiles}", "scopegate")
    return [path for path in listed if machine.path(path).is_file()]


def unit_is_sound(machine):
    for unit in (UNIT, UNIT.replace(".service", ".socket")):
        said = subprocess.run(["chroot", machine.root, "systemd-analyze", "verify", "--man=no", unit],
                              capture_output=True, text=True)
        ours = [line for line in (said.stdout + said.stderr).splitlines() if "scopegate" in line]
        assert said.returncode == 0 and not ours, said.stdout + said.stderr
    # 0 to 100, where lower is tighter.
    machine.run("systemd-analyze", "security", "--offline=true", "--threshold=15", UNIT)


def user_is_its_own(machine):
    uid = int(machine.run("id", "-u", "scopegate"))
    secrets = machine.path("/etc/scopegate/secrets").stat()
    gid = int(machine.run("id", "-g", "scopegate"))
    assert uid > 0 and gid > 0
    assert (secrets.st_uid, secrets.st_gid, secrets.st_mode & 0o777) == (0, gid, 0o750), "the folder of secrets"
    return uid, gid


def settings(machine):
    lines = [line for line in machine.path(UNIT).read_text().splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def ask(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def starts_as_its_unit_says(machine, uid, gid):
    unit = settings(machine)
    assert unit["Type"] == "notify" and unit["DynamicUser"] == "yes"
    logs = machine.path("/var/log/" + unit["LogsDirectory"])
    logs.mkdir(mode=0o755)
    os.chown(logs, uid, gid)
    (machine.root / "run" / "notify").unlink(missing_ok=True)
    notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notified.bind(str(machine.root / "run" / "notify"))
    os.chmod(machine.root / "run" / "notify", 0o666)
    notified.settimeout(PATIENCE)
    as_user = ["chroot", str(machine.root), "setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups",
               "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all", "env", "-i", "-C", unit["WorkingDirectory"],
               "PATH=/usr/bin:/bin"]
    run(*as_user, *unit["ExecStartPre"].split())
    gateway = subprocess.Popen([*as_user, "NOTIFY_SOCKET=/run/notify", *unit["ExecStart"].split()],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        told = notified.recv(4096).decode()
        assert "READY=1" in told and f"MAINPID={gateway.pid}" in told, told
        status = pathlib.Path(f"/proc/{gateway.pid}/status").read_text()
        assert re.search(rf"^Uid:(\t{uid}){{4}}$", status, re.M) and re.search(r"^CapEff:\t0+$", status, re.M), status
        assert ask(9901, "/healthz")[0] == 200
        code, body = ask(8080, "/orders/acme/1")
        assert code == 401 and json.loads(body)["reason"] == "token_missing", body
        assert "scopegate_build_info" in ask(9901, "/metrics")[1]
        deadline = time.monotonic() + PATIENCE
        while "token_missing" not in (logs / "audit.jsonl").read_text():
            assert time.monotonic() < deadline, "no audit line"
            time.sleep(0.02)
        gateway.send_signal(signal.SIGHUP)
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait(timeout=int(unit["TimeoutStopSec"])) == 0
    except BaseException:
        gateway.kill()
        print(gateway.communicate()[0])
        raise


def inside(package):
    raise_loopback()
    machine = Machine()
    (machine.root / "tmp" / "scopegate.deb").write_bytes(pathlib.Path(package).read_bytes())
    machine.run("dpkg", "-i", "/tmp/scopegate.deb")
    files = installed(machine)
    print(f"installed: {len(files)} files")
    unit_is_sound(machine)
    uid, gid = user_is_its_own(machine)
    starts_as_its_unit_says(machine, uid, gid)
    print(f"started by its unit's ExecStart as user {uid}, asked, ended")

    # What was changed in the file is kept by an upgrade, and by a removal.
    changed = machine.path(CONFFILE).read_text().replace("8080", "8081")
    machine.path(CONFFILE).write_text(changed)
    (machine.path("/etc/scopegate/secrets") / "idp").write_text("secret")
    machine.run("dpkg", "-i", "/tmp/scopegate.deb")
    assert machine.path(CONFFILE).read_text() == changed
    machine.run("dpkg", "-r", "scopegate")
    left = [path for path in files if machine.has(path)]
    assert left == [CONFFILE], left
    assert machine.path(CONFFILE).read_text() == changed and machine.has("/var/log/scopegate/audit.jsonl")
    machine.run("dpkg", "-P", "scopegate")
    left = [path for path in (*files, "/etc/scopegate", "/var/log/scopegate") if machine.has(path)]
    assert left == [], left
    print("upgraded, removed and purged: nothing is left")


if __name__ == "__main__":
    if sys.argv[1] == "--inside":
        inside(sys.argv[2])
    else:
        sys.exit(subprocess.run(["unshare", "--mount", "--net", sys.executable, __file__, "--inside", sys.argv[1]]).returncode)
