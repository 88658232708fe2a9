# Everything a newcomer does here. The environment is made from the lock files at the first call.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
ARGS   ?=
# Test files side by side: most of their time is waiting for real servers.
JOBS   ?= 4
# Of each test of `make fuzz`.
EXAMPLES ?= 2000

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements-dev.lock pyproject.toml
	@echo "Making $(VENV) from requirements-dev.lock" >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; name one with make PYTHON=python3.12")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

.PHONY: demo
demo: $(READY) ## A real River and PostgreSQL, faults to provoke, and the exporter beside them (ARGS="--seconds 60")
	@$(BIN)/python -m tests.demo $(ARGS)

.PHONY: test
test: $(READY) ## All tests that fit into a pull request, against real servers
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --cov --cov-report=term:skip-covered $(ARGS)

.PHONY: test-all
test-all: $(READY) ## The tests on every Python here, on every PostgreSQL, and the long ones
	@$(BIN)/python -m nox $(ARGS)

.PHONY: fuzz
fuzz: $(READY) ## Many made-up inputs: addresses, durations, files, pages of pools, statements (EXAMPLES=2000 per test)
	@FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest tests/fuzz --timeout 3600 $(ARGS)

.PHONY: lint
lint: $(READY) ## Lint: code, format, imports between folders, and the words of texts
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports && $(BIN)/python -m tests.words

.PHONY: format
format: $(READY) ## Format
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

.PHONY: typecheck
typecheck: $(READY) ## Check the types
	@$(BIN)/mypy

.PHONY: generate
generate: $(READY) ## Write again what is generated: docs/metrics.md, alerts, dashboards, the chart's files
	@$(BIN)/python -m docs.generate
	@$(BIN)/python -m config.source.generate
	@$(BIN)/python -m dashboards.generate
	@$(BIN)/python -m helm.generate
	@$(BIN)/python -m tests.k8s.manifests

.PHONY: pictures
pictures: $(READY) ## Draw docs/pictures again: the budget by its model, the status page from a real incident (8 min)
	@$(BIN)/python -m tests.budget_picture
	@$(BIN)/python -m tests.screenshots

.PHONY: preview
preview: $(READY) ## Draw every dashboard from a live Prometheus (ARGS="--prometheus http://127.0.0.1:9090")
	@$(BIN)/python -m tests.preview.preview $(ARGS)

build/docs/.ready: requirements-docs.lock
	@$(PYTHON) -m venv build/docs
	@build/docs/bin/python -m pip install --quiet --require-hashes -r requirements-docs.lock
	@touch $@

.PHONY: docs
docs: build/docs/.ready ## Build the documentation's site into build/site; a broken link fails it
	@NO_MKDOCS_2_WARNING=1 build/docs/bin/python -m mkdocs build --strict

.PHONY: bench
bench: $(READY) ## Speed, memory and what it costs the database
	@$(BIN)/python -m tests.bench.cost $(ARGS)

.PHONY: bench-precursor
bench-precursor: $(READY) ## Every fault, grown until River fails: cause, lead time, false alarms (long)
	@$(BIN)/python -m tests.bench.precursor $(ARGS)

.PHONY: bench-healthy
bench-healthy: $(READY) ## A healthy hour, of which nothing may be told (ARGS="--minutes 60")
	@$(BIN)/python -m tests.bench.healthy $(ARGS)

.PHONY: bench-dashboards
bench-dashboards: $(READY) ## How long each query of the dashboards takes on days of made-up data (ARGS="--days 15")
	@$(BIN)/python -m tests.bench.dashboards $(ARGS)

.PHONY: bench-alerts
bench-alerts: $(READY) ## Every fault through Prometheus and Alertmanager, to the page and to its end (long)
	@$(BIN)/python -m tests.bench.precursor --alerts $(ARGS)

.PHONY: bench-prolonged
bench-prolonged: $(READY) ## Faults that last ten minutes: never ok, one page, the cause right (ARGS="--minutes 10")
	@$(BIN)/python -m tests.bench.prolonged $(ARGS)

.PHONY: lock
lock: $(READY) ## Write the lock files from pyproject.toml
	@$(BIN)/python -m tests.lock

.PHONY: clean
clean: ## Remove the environment and what was built; the cache of servers stays
	@rm -rf $(VENV) .nox build dist .mypy_cache .ruff_cache .pytest_cache .coverage

include tests/k8s/targets.mk
