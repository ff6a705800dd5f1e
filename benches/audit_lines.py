"""Audit lines as a gateway writes them, made up for a policy: `audit_lines.py POLICY COUNT > audit.jsonl`.

The policy is one that `scopegate import` has made, with clients added as `- { id: NAME, scopes: [A, B] }`. Nine requests of
ten are for a service of a scope that the client may hold. The same arguments give the same lines.
"""

import json
import random
import re
import sys

SCOPE = re.compile(r"      - name: (\S+)")
SERVICE = re.compile(r"          - ([A-Z,]+) (\S+)")
CLIENT = re.compile(r"- \{ id: (\S+), scopes: \[(.*?)\] \}")


def services(text):
    """The services of each scope: a method and a path."""
    found, scope = {}, None
    for line in text.splitlines():
        if match := SCOPE.match(line):
            scope = match.group(1)
        elif scope and (match := SERVICE.match(line)):
            found.setdefault(scope, []).append((match.group(1).split(",")[0], match.group(2)))
    return found


def lines(text, count):
    chance = random.Random(7)
    of_scope = services(text)
    clients = [(name, scopes.split(", ")) for name, scopes in CLIENT.findall(text)]
    made = 0
    while made < count:
        client, own = chance.choice(clients)
        scope = chance.choice(own if chance.random() < 0.9 else list(of_scope))
        if scope not in of_scope:
            continue
        method, pattern = chance.choice(of_scope[scope])
        path = re.sub(r"\{[^}]*\}", lambda _: f"id{chance.randrange(100_000)}", pattern).replace("*", "x")
        granted = scope in own
        yield json.dumps(
            {
                "time": f"2026-11-01T{made // 3600 % 24:02d}:{made // 60 % 60:02d}:{made % 60:02d}.{made % 1_000_000:06d}Z",
                "request_id": f"{chance.getrandbits(128):032x}",
                "generation": 1,
                "decision": "allow" if granted else "deny",
                "reason": "granted" if granted else "scope_insufficient",
                "issuer": "https://login.example.com",
                "client": client,
                "subject": f"user-{chance.randrange(5000)}",
                "account": None,
                "scopes": own,
                "granted_by": scope if granted else None,
                "service": f"{method} {pattern}" if granted else None,
                "method": method,
                "path": path,
                "status": 200 if granted else 403,
                "upstream_error": None,
                "microseconds": chance.randrange(40),
                "duration_microseconds": chance.randrange(9000),
                "api": "imported",
                "account_sources": [],
                "injected": False,
                "host": "api.example.com",
                "browser": False,
                "token_scopes": own,
                "token_accounts": [],
                "certificate": None,
            },
            separators=(",", ":"),
        )
        made += 1


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        policy = file.read()
    for line in lines(policy, int(sys.argv[2])):
        print(line)
