# The only door. `make help` lists what is behind it. Nothing is installed outside this folder.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
ENVIRONMENTS := .environments
UV := $(BIN)/uv
LOCK := $(UV) pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11
# --universal finds no onnxruntime that suits Windows and Python 3.14, too: the engines are for Linux and macOS, 3.11 to 3.13.
LOCK_ENGINE := $(UV) pip compile --quiet --generate-hashes --no-annotate --python-version 3.11.5 --python-platform linux \
    --custom-compile-command "make lock (resolved for Linux, works from Python 3.11.5 to 3.13 and on macOS 14; --universal finds no onnxruntime that suits Windows and 3.14, too)"
LOCKED_GROUPS := setup api executor tick dead_letters cli dev emulator receiver localstack sam scan audit

include build.mk

.PHONY: help
help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | sort | awk -F'\t' '{ printf "  make %-15s %s\n", $$1, $$2 }'

# --- environments -----------------------------------------------------------------------------------------------------

.venv/.ready: requirements/setup.txt requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Spark needs Python 3.11 or newer: make PYTHON=…")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -x $(UV) || $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/setup.txt
	$(UV) pip sync --quiet --python .venv --require-hashes requirements/dev.txt
	$(UV) pip install --quiet --python .venv --no-deps --no-build-isolation --editable .
	@touch $@

# Tools that pin versions of their own live apart from us: the emulator, the receiver of traces, SAM, and the two LangFlow servers.
$(ENVIRONMENTS)/%/.ready: requirements/%.txt | .venv/.ready
	$(UV) venv --quiet --clear --python $(BIN)/python $(ENVIRONMENTS)/$*
	$(UV) pip sync --quiet --python $(ENVIRONMENTS)/$* --require-hashes requirements/$*.txt
	@touch $@

.PHONY: setup
setup: .venv/.ready $(ENVIRONMENTS)/emulator/.ready $(ENVIRONMENTS)/receiver/.ready $(ENVIRONMENTS)/scan/.ready $(ENVIRONMENTS)/sam/.ready $(ENVIRONMENTS)/lfx/.ready ## Everything `make demo` and `make test` need

# --- use --------------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: setup ## Run real flows through the whole of Spark on this machine, in a few minutes
	$(BIN)/python -m cli.demo

.PHONY: up
up: .venv/.ready $(ENVIRONMENTS)/emulator/.ready ## Start the local stack and keep it running
	$(BIN)/spark local up

.PHONY: down
down: .venv/.ready ## Stop the local stack; its state is kept
	$(BIN)/spark local down

# --- prove ------------------------------------------------------------------------------------------------------------

# Millions of small steps, which take four times as long when coverage counts their lines.
EXHAUSTIVE := tests/chaos tests/property/test_recurrence.py tests/property/test_schedule_machine.py

# Files side by side, but never the e2e tests: they keep time, and a stack has many processes of its own.
PARALLEL := --numprocesses auto --dist loadfile

.PHONY: test
test: setup ## All tests but those that need the whole LangFlow server
	$(BIN)/python -m pytest tests --ignore tests/langflow --ignore tests/e2e $(EXHAUSTIVE:%=--ignore %) $(PARALLEL) --cov --cov-report=
	$(BIN)/python -m pytest tests/e2e --cov --cov-append --cov-report term --cov-fail-under 95
	$(BIN)/python -m pytest $(EXHAUSTIVE) $(PARALLEL)

.PHONY: test-langflow
test-langflow: setup $(ENVIRONMENTS)/langflow/.ready ## The tests against real LangFlow servers
	$(BIN)/python -m pytest tests/langflow

# Its time limit of a test is for the first one, which builds and deploys, too.
.PHONY: test-localstack
test-localstack: .venv/.ready $(ENVIRONMENTS)/localstack/.ready $(ENVIRONMENTS)/sam/.ready ## The e2e tests against LocalStack, deployed by SAM
	SPARK_E2E_STACK=localstack $(BIN)/python -m pytest tests/e2e --timeout 420

.PHONY: test-sam
test-sam: setup build ## Every function in a container by `sam local`; as root on Debian, without an image registry
	infra/sam-local/engine $(BIN)/python -m pytest tests/e2e/test_sam_local.py

.PHONY: check
check: .venv/.ready $(ENVIRONMENTS)/sam/.ready $(ENVIRONMENTS)/scan/.ready ## Lint, types, import contracts, security, template, locks, OpenAPI snapshot
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive shared functions cli
	$(BIN)/cfn-lint template.yaml infra/github/role.yaml
	SAM_CLI_TELEMETRY=0 $(ENVIRONMENTS)/sam/bin/sam validate --lint --region us-east-1
	$(ENVIRONMENTS)/scan/bin/checkov --config-file infra/checkov.yaml
	$(BIN)/python -m pytest -q tests/contract/test_openapi.py tests/contract/test_security.py
	$(BIN)/python -m pytest -q tests/contract/test_packaging.py -k "pin or registry"
	@echo "check: whether a locked package is known to be vulnerable cannot be told without the network: make audit"

AUDIT := $(ENVIRONMENTS)/audit/bin/pip-audit --disable-pip --require-hashes --strict --progress-spinner off --format columns
AUDITED := $(sort $(wildcard requirements/*.txt))

# Never a pass that was none: it fails if something is known of any lock, and if one could not be looked up.
.PHONY: audit
audit: $(ENVIRONMENTS)/audit/.ready ## Known vulnerabilities of every locked package; needs the network, and says where it had none
	@result=0; report=$$(mktemp); trap 'rm -f $$report' EXIT; \
	for lock in $(AUDITED); do \
		if $(AUDIT) --requirement $$lock --output $$report 2>$$report.log; then echo "$$lock: nothing is known"; \
		elif grep -q "^Name" $$report; then echo "$$lock: VULNERABLE"; cat $$report; test $$result = 2 || result=1; \
		else echo "$$lock: NOT AUDITED"; tail -n 1 $$report.log; result=2; fi; \
		rm -f $$report.log; : > $$report; \
	done; \
	test $$result != 2 || echo "audit: NOT ALL OF IT RAN. This says nothing about the locks above that are not audited." >&2; \
	exit $$result

.PHONY: fix
fix: .venv/.ready ## Format, and mend what the linter can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: bench
bench: setup ## All benchmarks, as a table
	$(BIN)/python -m bench

# --- ship -------------------------------------------------------------------------------------------------------------

.PHONY: lock
lock: .venv/.ready ## Compile the locks in requirements/ from pyproject.toml
	for group in $(LOCKED_GROUPS); do $(LOCK) --group pyproject.toml:$$group --output-file requirements/$$group.txt; done
	for engine in lfx langflow; do $(LOCK_ENGINE) --group pyproject.toml:$$engine --output-file requirements/$$engine.txt; done

.PHONY: build
build: .venv/.ready $(ENVIRONMENTS)/sam/.ready ## Build every function's bundle
	SAM_CLI_TELEMETRY=0 $(ENVIRONMENTS)/sam/bin/sam build

# STAGE: an environment of samconfig.toml. The smoke test comes with the first key, where the credentials may read it, as
# those of GitHub Actions may not; it is never printed. CI: GitHub sets it, and nobody is there to confirm a change set.
.PHONY: deploy
deploy: known-stage build ## Deploy a stage to AWS and test what came of it: make deploy STAGE=staging
	SAM_CLI_TELEMETRY=0 $(ENVIRONMENTS)/sam/bin/sam deploy --config-env "$(STAGE)" --no-fail-on-empty-changeset \
	    $(if $(CI),--no-confirm-changeset) --parameter-overrides $$($(BIN)/python infra/stage.py "$(STAGE)" parameters "$$(date +%s)")
	$(BIN)/python -m cli.main doctor --stack "$$($(BIN)/python infra/stage.py "$(STAGE)" stack)" --first-key

.PHONY: known-stage
known-stage: .venv/.ready
	@$(BIN)/python infra/stage.py "$(STAGE)" stack > /dev/null
