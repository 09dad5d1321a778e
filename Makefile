# Every target works on a fresh machine with Python 3.11 or newer, pip and make: what it needs, it installs under .venv and
# .cache. `make help` lists the targets.

.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CHECKED := moltnet node bridge tests fuzz

# The real agent programs for the end-to-end tests; tests read this variable.
export MOLTNET_TEST_RUNTIMES ?= $(CURDIR)/.cache/runtimes
# PostgreSQL for the tests, if the system has none.
export MOLTNET_TEST_POSTGRES ?= $(CURDIR)/.cache/postgres

# Tests wait more than they compute: one more process than there are processors.
TESTERS ?= $(shell echo $$(($$(nproc 2>/dev/null || echo 2) + 1)))

.NOTPARALLEL:
.PHONY: run test test-without-lane check lint bench fuzz sim fuzz-tools soak apifuzz crash relay-crash replicas soak-node e2e runtimes postgres browser tools screenshots build-tools audit man site site-tools console console-tools changelog release clean help

run: $(INSTALLED) ## Start a network on http://127.0.0.1:8787 with SQLite and a room "general"
	@exec env MOLTNET_CONFIG=examples/quickstart/Moltnet $(BIN)/moltnet start

test: $(INSTALLED) runtimes postgres browser tools build-tools console-tools ## Run all tests, the slow ones with real processes and agent programs too
	$(BIN)/pytest -m "" -n $(TESTERS) --dist worksteal --ignore tests/browser
	@# Apart, because the browser's driver and trio-asyncio both want to be the loop of asyncio in their process.
	$(BIN)/pytest -m "" -n $(TESTERS) --dist worksteal tests/browser

test-without-lane: $(INSTALLED) ## Run the suites of access, attacks and conformance without the fast lane: Hypercorn and Quart must do the same
	MOLTNET_FASTLANE=0 $(BIN)/pytest -q tests/access tests/attacks tests/conformance tests/http/test_connection.py \
		tests/http/test_exchange.py tests/attach/test_handshake.py tests/attach/test_ending.py tests/test_serving.py

check: lint audit site test-without-lane test ## Everything that must be green before a change is shown: format, lint, types, layers, tests

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(CHECKED) examples/*/*.py
	$(BIN)/codespell
	$(BIN)/pytest -q tests/test_layers.py

bench: $(INSTALLED) ## Measure throughput, latency and memory beside what the stack can do; BENCH='--quick --compare A B' and more: --help
	$(BIN)/python -m tests.bench $(BENCH)

fuzz: $(INSTALLED) fuzz-tools ## Feed everything that reads what others wrote hostile input, each target for SECONDS (30), in three ways
	$(BIN)/python -m fuzz --seconds $(or $(SECONDS),30)
	MOLTNET_FUZZ_EXAMPLES=$(or $(EXAMPLES),1000) $(BIN)/pytest -q -o faulthandler_timeout=0 tests/fuzz/test_hypothesis.py
	@# 2: there is no atheris for this Python.
	PYTHONPATH=.cache/fuzz-tools $(BIN)/python -m fuzz.guided --seconds $(or $(SECONDS),30) || [ $$? = 2 ]

fuzz-tools: $(INSTALLED)
	@scripts/install-fuzz-tools $(BIN)/python

sim: $(INSTALLED) ## Run SEEDS of the simulation (1000, or FIRST-LAST, or new:COUNT): whole networks in one process, and everything breaks
	$(BIN)/python -m tests.simulation $(or $(SEEDS),1000) --processes $(TESTERS)

apifuzz: $(INSTALLED) postgres ## Look for answers of the HTTP API that its OpenAPI document does not describe, for a while
	MOLTNET_API_FUZZ_EXAMPLES=$${MOLTNET_API_FUZZ_EXAMPLES:-100} MOLTNET_API_FUZZ_SEED=$${MOLTNET_API_FUZZ_SEED:-$$$$} \
		$(BIN)/pytest -m slow -o faulthandler_timeout=0 tests/http/openapi/test_schemathesis.py

crash: $(INSTALLED) postgres ## Kill writers, ROUNDS times (2000) for each storage, and servers under load, SERVER_ROUNDS times (1000), and look for what is lost
	MOLTNET_CRASH_ROUNDS=$(or $(ROUNDS),2000) MOLTNET_CRASH_SERVER_ROUNDS=$(or $(SERVER_ROUNDS),1000) \
		$(BIN)/pytest -m slow -s --timeout 1800 -o faulthandler_timeout=0 -k any_moment \
		tests/storage/sql/test_sqlite_crash.py tests/storage/sql/test_postgres_crash.py tests/storage/test_snapshot_crash.py \
		tests/e2e/test_killed_server.py

relay-crash: $(INSTALLED) postgres ## Kill paired servers under load, ROUNDS times (100) for each storage, and look for what is lost, there twice or out of order
	MOLTNET_RELAY_CRASH_ROUNDS=$(or $(ROUNDS),100) MOLTNET_RELAY_CRASH_SEED=$(or $(SEED),0) \
		$(BIN)/pytest -m slow -s --timeout 0 -o faulthandler_timeout=0 tests/e2e/test_relay_crashes.py

replicas: $(INSTALLED) postgres ## Kill one of three servers on one PostgreSQL every PAUSE seconds (4), for SECONDS (600) and ROUNDS kills (1) at least
	MOLTNET_REPLICAS_SECONDS=$(or $(SECONDS),600) MOLTNET_REPLICAS_KILLS=$(or $(ROUNDS),1) \
		MOLTNET_REPLICAS_PAUSE_SECONDS=$(or $(PAUSE),4) MOLTNET_REPLICAS_ATTACHMENTS=$(or $(ATTACHMENTS),300) \
		$(BIN)/pytest -m slow -s -o faulthandler_timeout=0 -k whichever_server_is_killed tests/e2e/test_replicas.py

soak: $(INSTALLED) ## Run servers, a node, clients and a paired network at steady load with churn for HOURS or SECONDS (600), and look for growth
	MOLTNET_SOAK_SECONDS=$(or $(SECONDS),$(if $(HOURS),$$(($(HOURS) * 3600)),600)) MOLTNET_SOAK_SEED=$(or $(SEED),7) \
		$(BIN)/pytest -m slow -s -o faulthandler_timeout=0 --timeout 0 tests/faults/test_soak.py

soak-node: $(INSTALLED) ## Run a node with 200 attachments for ten minutes while programs, connections and the server break
	MOLTNET_SOAK_ATTACHMENTS=$(or $(ATTACHMENTS),200) MOLTNET_SOAK_SECONDS=$(or $(SECONDS),600) MOLTNET_SOAK_SEED=$(or $(SEED),7) \
		$(BIN)/pytest -m slow -o faulthandler_timeout=0 --timeout 1800 tests/node/test_many.py

e2e: $(INSTALLED) runtimes postgres ## Run only the end-to-end tests, with real agent programs
	$(BIN)/pytest -m "" -n $(TESTERS) --dist worksteal tests/e2e

audit: $(INSTALLED) ## Look for packages that must not be among our dependencies: bounds, reasons, licences, bad versions
	$(BIN)/python -m scripts.dependencies audit

man: $(INSTALLED) ## Write the manual page: dist/moltnet.1
	@mkdir -p dist
	$(BIN)/moltnet help --man > dist/moltnet.1

site: $(INSTALLED) $(VENV)/.docs site-tools ## Make a site of the documentation: dist/site
	$(BIN)/python -m scripts.site

changelog: $(INSTALLED) ## Move the news fragments into CHANGELOG.md, for a release
	$(BIN)/python -m scripts.change_log

release: $(INSTALLED) build-tools ## Build what is released into dist/ and check it; uploads nothing
	$(BIN)/python -m scripts.release

build-tools:
	@scripts/install-build-tools

console: $(INSTALLED) console-tools ## Build the script and the style sheet of the console of their sources, after a change of these
	$(BIN)/python -m scripts.console_bundle

screenshots: $(INSTALLED) browser ## Take the pictures of the console in docs/screenshots again
	$(BIN)/python -m tests.browser.screenshots

browser:
	@scripts/install-test-browser

tools:
	@scripts/install-test-tools

console-tools:
	@scripts/install-console-tools

site-tools:
	@scripts/install-site-tools

runtimes: $(INSTALLED)
	@scripts/install-test-runtimes

postgres: $(INSTALLED)
	@scripts/install-test-postgres

clean: ## Remove what make has installed and what tools have cached; keeps networks and their data
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
	find $(CHECKED) -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

# The stamp is as new as the last installation; a changed pyproject.toml installs again.
$(INSTALLED): pyproject.toml
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || scripts/make-venv $(VENV)
	@echo "installing Moltnet and its tools into $(VENV): a minute or two, once"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

# What builds the site is not needed for anything else.
$(VENV)/.docs: $(INSTALLED)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	@touch $@
