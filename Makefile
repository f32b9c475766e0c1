# Everything a person or a pipeline does. `make help` lists it from the comments.
SHELL := /bin/sh
.DEFAULT_GOAL := help
export UV_PYTHON_DOWNLOADS := never

CLUSTER ?= slipway
TARGET ?= auto
ARGS ?=
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/slipway
UV_VERSION := 0.13.8
UV := $(CACHE)/uv-$(UV_VERSION)/bin/uv
BIN := .venv/bin
SLIPWAY := $(BIN)/slipway
STAMP := .venv/.synced
# Tests wait for processes more than they compute, so three at once fill two cores; a file's tests share its servers.
JOBS ?= 3
UNIT := $(BIN)/pytest -m "not e2e" -n $(JOBS) --dist loadfile

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Run
.PHONY: up down status
up: $(STAMP) ## Build what is missing, make cluster, platform and service, prove it by k6 (TARGET, CLUSTER, ARGS)
	$(SLIPWAY) up --cluster $(CLUSTER) --target $(TARGET) $(ARGS)

down: $(STAMP) ## Remove the cluster and everything it made, also after a crash
	$(SLIPWAY) down --cluster $(CLUSTER)

status: $(STAMP) ## Show every part: ready or not, version, address
	$(SLIPWAY) status --cluster $(CLUSTER)

.PHONY: prove
prove: $(STAMP) ## Prove that rollouts lose no request, on a cluster that is up (SHORT=1, FULL=1; goes on where it was)
	$(SLIPWAY) prove --cluster $(CLUSTER) --form $(if $(SHORT),short,$(if $(FULL),full,usual)) $(ARGS)

.PHONY: bench-ingress
bench-ingress: $(STAMP) ## Ask a pod directly and through the ingress, in turns, on a cluster that is up (CLUSTER, ARGS)
	$(SLIPWAY) bench-ingress --cluster $(CLUSTER) $(ARGS)

##@ Check
.PHONY: test lint types contracts unit coverage mutation fuzz bench-app bench-outages e2e e2e-smoke
test: setup-test lint types contracts unit ## Everything that needs no cluster

lint: $(STAMP) ## Formatting, rules, YAML
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/yamllint --strict .

types: $(STAMP) ## Strict types
	$(BIN)/basedpyright

contracts: $(STAMP) ## Who may import whom
	$(BIN)/lint-imports

unit: $(STAMP) ## Tests, levels 0 to 3 (ARGS="-k name")
	$(UNIT) $(ARGS)

coverage: setup-test ## Which lines and branches the tests reach (slower than `unit`); fails below 95 % of the payload's
	$(UNIT) --cov --cov-report=term:skip-covered $(ARGS)
	$(BIN)/coverage report --include="app/*" --skip-covered --fail-under=95

mutation: setup-test ## Whether tests notice mistakes put into the payload's services; goes on where it was (ARGS="--minutes 8")
	$(BIN)/python tests/app/mutation.py $(ARGS)

fuzz: setup-test ## Ten thousand generated requests to the payload's API, with real Postgres and Redis; writes the report `fuzz`
	FUZZ_EXAMPLES=$(or $(CASES),340) $(BIN)/pytest tests/app/fuzz $(ARGS)

bench-app: setup-test ## The payload beside bare Flask and a naive full stack, in turn, on one core each; writes the report `bench-app`
	BENCH_ROUNDS=$(or $(ROUNDS),7) $(BIN)/pytest tests/app/bench/test_bench_app.py $(ARGS)

bench-outages: setup-test ## Latency of the payload while Redis, replica and worker are stopped and killed; writes the report `bench-outages`
	OUTAGE_SECONDS=$(or $(SECONDS),12) $(BIN)/pytest tests/app/bench/test_bench_outages.py $(ARGS)

e2e: $(STAMP) ## Tests on real clusters, all
	$(BIN)/pytest -p no:randomly -m e2e tests/e2e $(ARGS)

e2e-smoke: $(STAMP) ## Tests on a real cluster, the short form that the pipeline runs
	$(BIN)/pytest -p no:randomly -m e2e tests/e2e/smoke $(ARGS)

.PHONY: sbom sbom-images audit
sbom: $(STAMP) | $(UV) ## CycloneDX lists of the locked Python packages of images and tool, into build/sbom
	$(SLIPWAY) audit sbom --uv $(UV)

IMAGES ?= service controller
sbom-images: $(STAMP) ## CycloneDX lists of all that is in images (IMAGES="service controller"), read from them, into build/sbom
	$(SLIPWAY) audit image $(IMAGES)

audit: $(STAMP) | $(UV) ## What is known against our packages, less the exceptions in .github/vulnerabilities.yml (asks osv.dev)
	$(SLIPWAY) audit vulnerabilities --uv $(UV) $(ARGS)

##@ Set up
.PHONY: venv setup-test fix
venv: $(STAMP) ## The virtual environment of the lock

setup-test: $(STAMP) ## Install and build what the tests need
	$(SLIPWAY) setup test

fix: $(STAMP) ## Format, and mend what can be mended by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The virtual environment follows the lock; uv comes from the package index.
$(STAMP): pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --quiet
	@touch $@

$(UV):
	@command -v python3 >/dev/null || { echo "python3 (3.11 or newer) is needed: apt-get install python3 python3-venv" >&2; exit 1; }
	@python3 -c 'import ensurepip' 2>/dev/null || { echo "installing python3-venv: makes the virtual environments"; apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv; }
	python3 -m venv $(CACHE)/uv-$(UV_VERSION)
	$(CACHE)/uv-$(UV_VERSION)/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
