# The one entry to building and testing Weir; CI calls nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/sh
.SHELLFLAGS := -euc
.ONESHELL:

# Seconds per fuzz target.
S ?= 10
# What cargo builds and tests; see hack/lib.sh.
PACKAGES ?= --locked --workspace --exclude weir-capture-ebpf
export PACKAGES
# Of the demo: less, so that it starts sooner on a new machine.
DEMO_PACKAGES ?= --locked -p weir-cli -p weir-demo
# Options of bench/bench.py, e.g. BENCH=--quick.
BENCH ?=

# ---- use ---------------------------------------------------------------------------------------

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Install what building, the demo and the tests need; quick when it is there
	@hack/setup.sh test

.PHONY: build
build: ## Build everything, the kernel side too
	@hack/setup.sh build
	cargo build $(PACKAGES)

.PHONY: demo
demo: ## Capture a small multi-service program and check every byte (root)
	@hack/setup.sh demo
	cargo build $(DEMO_PACKAGES) --bins
	as_root=$$(hack/as-root.sh)
	$$as_root target/debug/weir-demo

# ---- test --------------------------------------------------------------------------------------

.PHONY: test
test: setup ## Everything that CI runs
	@hack/test.sh

.PHONY: check
check: fmt-check clippy deny doc ## Format, lints, dependencies and documentation, without tests

.PHONY: fmt-check
fmt-check: ## Is the code formatted?
	cargo fmt --all --check

.PHONY: clippy
clippy: ## Lints, as errors
	cargo clippy $(PACKAGES) --all-targets -- -D warnings

.PHONY: deny
deny: ## Licences, banned and unknown dependencies, and security advisories
	@hack/deny.sh

.PHONY: doc
doc: ## Documentation, with its links checked
	RUSTDOCFLAGS=-Dwarnings cargo doc $(PACKAGES) --no-deps

.PHONY: test-unit
test-unit: ## Tests that need no root (the demo's program needs PostgreSQL)
	cargo test $(PACKAGES)

.PHONY: manifests
manifests: ## Are the manifests that we ship valid?
	cargo build $(PACKAGES) --test layers --bin weir --bin weir-operator
	for file in examples/*.yaml demo/manifests; do target/debug/weir run --dry-run -f $$file; done
	hack/chart.sh

.PHONY: test-component
test-component: ## Tests against real kernels, servers and collectors (root)
	@hack/test-component.sh

.PHONY: test-stores
test-stores: ## `weir gather` with real stores, and the whole story (root; Maven, Java 17, npm, Go)
	@hack/test-stores.sh

.PHONY: test-web
test-web: ## `weir web` in a real Chromium
	@hack/test-web.sh

.PHONY: test-operator
test-operator: ## The operator and the charts against a real API server
	@hack/test-operator.sh

.PHONY: cluster
cluster: ## A Kubernetes cluster of one node without Docker, for tests (root); prints its kubeconfig
	@hack/setup.sh cluster
	as_root=$$(hack/as-root.sh)
	$$as_root e2e/cluster/cluster.sh up

.PHONY: cluster-down
cluster-down: ## End exactly what `make cluster` started
	@as_root=$$(hack/as-root.sh)
	$$as_root e2e/cluster/cluster.sh down

.PHONY: test-cluster
test-cluster: ## Weir in a real Kubernetes cluster, installed by helm (root)
	@hack/test-cluster.sh

.PHONY: e2e
e2e: setup ## The same, with all that it needs
	@hack/setup.sh cluster
	hack/test-cluster.sh

.PHONY: fuzz
fuzz: ## Fuzz every target for S seconds each, 10 unless told (make fuzz S=600)
	@hack/fuzz.sh -max_total_time=$(S)

.PHONY: fuzz-smoke
fuzz-smoke: ## Fuzz every target a little, the same inputs each time
	@hack/fuzz.sh -runs=20000 -seed=1

.PHONY: bench
bench: ## What a capture costs, as ratios from one run (root)
	@hack/setup.sh test
	cargo build --locked --release -p weir-cli
	e2e/otelcol/build.sh >/dev/null
	as_root=$$(hack/as-root.sh)
	$$as_root bench/run.sh $(BENCH)

.PHONY: gen
gen: ## Write generated files anew; without it the tests fail when one is stale
	UPDATE=1 cargo test --locked -p weir-api -p weir-plan -p weir-operator -p weir-cli -q
	cargo build $(PACKAGES) --bin weir-operator
	UPDATE=1 hack/chart.sh
