# `make` alone lists what there is. Everything here runs on a fresh Debian machine with Rust and a C compiler;
# scripts/setup.sh looks for the rest and installs it where it can.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:
.DEFAULT_GOAL := help

WERKPILOT := target/release/werkpilot
REGISTRY  ?= registry

# A clean build is faster without, and CI builds clean.
ifdef CI
export CARGO_INCREMENTAL := 0
endif

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

.PHONY: build
build: ## the binary, optimised: target/release/werkpilot
	@scripts/setup.sh build
	cargo build --release --locked -p werkpilot

.PHONY: run
run: build ## build, then start the fleet of registry/ (Ctrl-C ends it; REGISTRY=folder for another)
	@scripts/run.sh $(WERKPILOT) $(REGISTRY)

.PHONY: demo-memory
demo-memory: build ## within a minute: memory gets short, an agent is disabled and comes back
	@scripts/demo-memory.sh $(WERKPILOT)

.PHONY: test check
test: ## everything that CI runs
	@scripts/setup.sh test
	@scripts/check.sh
check: test ## the same

.PHONY: bench
bench: ## measure: decisions with criterion, then the whole program against its reference loops
	@scripts/setup.sh build
	cargo bench --locked -p werkpilot-core --bench '*'
	cargo bench --locked -p werkpilot-store --bench store
	cargo bench --locked -p werkpilot-web --bench openmetrics
	cargo build --release --locked -p werkpilot -p werkpilot-bench
	target/release/werkpilot-bench

# The same tests as in `make test`, many more times each.
.PHONY: soak
soak: ## crashes and restarts, twenty times at every step (some minutes)
	@scripts/setup.sh test
	cargo build --locked -p werkpilot -p werkpilot-tests --bins
	WERKPILOT_SOAK_TIMES=$${WERKPILOT_SOAK_TIMES:-25} cargo nextest run --locked --profile soak -p werkpilot-tests --test crash

.PHONY: schemas
schemas: ## write docs/schema anew from the code
	UPDATE_SCHEMAS=1 cargo test --locked -p werkpilot-config --test it schemas

.PHONY: metrics
metrics: ## write docs/metrics.md anew from the code
	UPDATE_METRICS=1 cargo test --locked -p werkpilot-web --test reference up_to_date

.PHONY: openapi
openapi: ## write docs/openapi.json anew from the code
	UPDATE_OPENAPI=1 cargo test --locked -p werkpilot-web --test openapi up_to_date

.PHONY: screenshots
screenshots: ## take the README's pictures of the dashboard anew
	@scripts/setup.sh test
	cargo build --locked -p werkpilot --bin werkpilot
	SCREENSHOTS=1 tests/browser/run.sh -g "it fits every screen"

.PHONY: vendor
vendor: ## fetch the dashboard's libraries anew, as scripts/vendor.lock names them
	scripts/vendor.sh

.PHONY: setup
setup: ## install what the tests need and is missing
	@scripts/setup.sh test

.PHONY: clean
clean: ## remove what was built (not the state in .werkpilot)
	cargo clean
