#!/bin/sh
# How `scopegate check` grows with a policy: seconds and megabytes of the whole process, for 10 to
# 100,000 services, ten to a scope. It needs `make release` first, and python3.
set -eu
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
for services in 10 1000 10000 100000; do
    awk -v services="$services" 'BEGIN {
        print "version: 1\nlisteners: [{ address: 127.0.0.1:8080 }]\nupstreams: { backend: { servers: [\"127.0.0.1:9000\"] } }"
        print "issuers: [{ issuer: https://issuer.example, audiences: [https://api.example.com], keys: { file: jwks.json } }]"
        print "apis:"
        for (scope = 0; scope < services / 10; scope++) {
            if (scope % 100 == 0)
                printf "  - { name: api%d, base_path: /api%d, upstream: backend, account: { path: account }, scopes: [\n", scope, scope
            printf "      { name: scope-%d, services: [", scope
            for (service = 0; service < 10; service++)
                printf "%s\"GET,POST /api%d/{account}/kind-%d-%d/**\"", service ? ", " : "", scope - scope % 100, scope, service
            print "] },"
            if (scope % 100 == 99 || scope + 1 >= services / 10) print "    ] }"
        }
    }' > "$folder/gateway.yaml"
    python3 - "$folder/gateway.yaml" "$services" <<'PYTHON'
import os, resource, subprocess, sys
file, services = sys.argv[1:]
done = subprocess.run(["target/release/scopegate", "check", file], capture_output=True, text=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
assert done.returncode == 0, done.stderr
print(f"{services:>7} services: {used.ru_utime + used.ru_stime:6.3f} s of CPU, {used.ru_maxrss / 1024:5.0f} MB, "
      f"{os.path.getsize(file) / 1e6:.1f} MB of YAML")
PYTHON
done
