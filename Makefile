# The two commands a newcomer needs are `make run` and `make test`; each does its own set-up.

.DEFAULT_GOAL := help
CARGO := cargo
SOAK_SECONDS ?= 600
# So that a rustup that is installed but not on the PATH is found.
export PATH := $(HOME)/.cargo/bin:$(PATH)

.PHONY: help run test test-idp test-secret soak release lint schema man bench bench-check compare scale setup

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## build and start the demo: gateway, development issuer and echo upstream in one process
	$(CARGO) run --quiet -- demo

test: setup ## every test
	$(CARGO) test

test-idp: setup ## the gateway against a certified identity provider; needs Node.js
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js 20.20 or later first" >&2; exit 1; }
	npm ci --prefix tests/idp --loglevel=error
	$(CARGO) test --test idp -- --nocapture

soak: release ## ten minutes of everything at once on the optimised binary: memory, descriptors and latency are flat
	SOAK_SECONDS=$(SOAK_SECONDS) SCOPEGATE_BINARY=$(CURDIR)/target/release/scopegate $(CARGO) test --test soak -- --nocapture

test-secret: setup ## ways around proxies, tried before nginx, Apache and Node.js; needs Node.js and Debian
	@command -v node >/dev/null || { echo "node is missing: install Node.js 20.20 or later first" >&2; exit 1; }
	@PATH=$$PATH:/usr/sbin; command -v nginx >/dev/null && command -v apache2 >/dev/null || { \
		echo "nginx or Apache is missing: installing Debian's packages nginx-light and apache2-bin"; \
		if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq --no-install-recommends nginx-light apache2-bin; \
		else sudo -n apt-get update -qq && sudo -n apt-get install -y -qq --no-install-recommends nginx-light apache2-bin; fi; } \
		|| { echo "nginx and Apache could not be installed: install nginx and apache2, then try again" >&2; exit 1; }
	$(CARGO) test --test secret -- --nocapture

release: setup ## the optimised binary, target/release/scopegate
	$(CARGO) build --release

lint: setup ## format, lints and docs, as the pipeline has them
	$(CARGO) fmt --all --check
	$(CARGO) clippy --all-targets -- --deny warnings
	$(CARGO) clippy --test idp --test secret -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --no-deps --document-private-items

schema: setup ## the JSON Schemas of gateway.yaml and its tests, for editors
	$(CARGO) run --quiet -- schema > target/gateway.schema.json && mv target/gateway.schema.json .
	$(CARGO) run --quiet -- schema tests > target/gateway.tests.schema.json && mv target/gateway.tests.schema.json .

man: setup ## a manual page for each command, in target/man
	$(CARGO) run --quiet -- man target/man

bench: setup ## instruction counts (needs valgrind), then timings
	@command -v gungraun-runner >/dev/null || $(CARGO) install --locked gungraun-runner --version 0.20.0
	$(CARGO) bench --bench instructions
	$(CARGO) bench --bench policy --bench token

bench-check: setup ## instruction counts against the recorded ones (needs valgrind)
	@command -v gungraun-runner >/dev/null || $(CARGO) install --locked gungraun-runner --version 0.20.0
	python3 benches/check_instructions.py

compare: setup ## CPU time a request against nginx, HAProxy, Envoy and an empty Pingora, into docs/performance.md
	python3 benches/compare/compare.py

scale: release ## compile time and memory of policies of 10 to 100,000 services
	benches/scale.sh

# zlib-ng, which pingora's compression links, is built with cmake.
setup:
	@command -v $(firstword $(CARGO)) >/dev/null || { echo "cargo is missing: install Rust with rustup first" >&2; exit 1; }
	@command -v cmake >/dev/null || { \
		echo "cmake is missing and is needed to build zlib-ng: installing Debian's package cmake"; \
		if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq cmake; \
		else sudo -n apt-get update -qq && sudo -n apt-get install -y -qq cmake; fi; } \
		|| { echo "cmake could not be installed: install the package cmake (Debian, Fedora, Homebrew), then try again" >&2; exit 1; }
