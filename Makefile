# The commands of the project. Each makes what it needs: a fresh clone with Python 3.11+, pip and make is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp-installed
SWEEP := jobs/sweeps/quickstart.toml
# One thread each. Most tests run one process per core; those that start Ray run alone.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help install quickstart test check lint format types imports test-quick test-slow docs audit clean

help:  ## Show these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/' | column -t -s:

install: $(STAMP)  ## Create .venv and install the pinned versions

# torch goes first and alone, so that its pinned build is the one that everything after it sees.
$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11 or newer, or give one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$$($(PYTHON) --version) is too old: give Python 3.11 or newer, e.g. make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[train,services,dev]'
	@touch $@

quickstart: $(STAMP)  ## Compare fine-tuning methods on the shipped toy models, offline, in about three minutes
	$(BIN)/loretta sweep $(SWEEP)

test: $(STAMP)  ## Everything but slow and GPU tests
	$(PYTEST) -n auto -m 'not ray and not slow and not gpu'
	$(PYTEST) -m 'ray and not slow and not gpu'

check: lint types imports test-quick  ## Format, lint, types, import law, quick tests

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/pyrefly check

imports: $(STAMP)
	$(BIN)/lint-imports

test-quick: $(STAMP)
	$(PYTEST) -n auto -m 'not integration and not slow and not gpu'

test-slow: $(STAMP)  ## Chaos, several nodes, long runs
	$(BIN)/python -m pytest -m slow --timeout 1800

# Warnings are errors. Nothing is fetched, and the site can be read without a network.
docs: $(STAMP)  ## Build the documentation from READMEs and docstrings into build/site
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx --quiet --fail-on-warning -c .docs -d build/doctrees . build/site
	@echo "open build/site/index.html"

# Strict: a version that the database does not know fails the audit, so that one without a database never looks like a pass. Apart from the project's packages.
audit: $(STAMP)  ## Look the pinned versions up in the database of known vulnerabilities (needs a network that reaches it)
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(VENV)/audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict

format: $(STAMP)  ## Rewrite the code in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## Remove the environment and caches (results stay)
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info
