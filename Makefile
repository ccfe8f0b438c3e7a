# Every target works on a fresh machine with Python 3.11 to 3.14: it makes what it needs first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ARGS ?=
# Test processes, each with a Postgres of its own.
PROCESSES ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast serve check format bench bench-tree schema constraints clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' \
		|| { echo "Python 3.11 to 3.14 is needed, $(PYTHON) is $$($(PYTHON) -V 2>&1). Another one: make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

setup: $(READY) ## Make .venv with everything; .venv/bin/raptor is the program

demo: $(READY) ## Watch the sample handbook become a tree, and ask it questions
	@$(BIN)/raptor demo

serve: $(READY) ## Run the service
	@$(BIN)/raptor serve $(ARGS)

test: $(READY) ## Run all tests, or those that ARGS name
	@$(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal $(ARGS)

test-fast: $(READY) ## Run the tests that need neither database nor service, in about a minute
	@$(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal -m 'not service' $(ARGS)

check: $(READY) ## Format, lint, types, import contracts, tests: what has to be green before a commit
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal $(ARGS)

format: $(READY) ## Format the code and mend what the linter can
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

bench: $(READY) ## Measure: chunking, writing vectors, corpora through the service (ARGS are passed on)
	@$(BIN)/python -m bench $(ARGS)

bench-tree: $(READY) ## Measure the tree engine: ARGS="--leaves 1000 --leaves 5000 --seeds 3 --json"
	@$(BIN)/python -m bench.tree_engine $(ARGS)

schema: $(READY) ## Render the tables of Database.md from infra/db/schema
	@$(BIN)/python -m infra.db.describe Database.md

constraints: ## Pin the newest allowed versions into constraints.txt
	$(PYTHON) -m venv .venv-pins
	.venv-pins/bin/python -m pip install --quiet --disable-pip-version-check '.[dev]'
	{ echo "# Versions that the tests ran with. Made by: make constraints"; \
	  .venv-pins/bin/python -m pip freeze --exclude raptor-service --exclude-editable | grep -v ' @ '; } > constraints.txt
	rm -rf .venv-pins

clean: ## Remove what was built; data folders stay
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
