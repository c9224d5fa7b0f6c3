# Everything starts here. Needs only make and a Python 3.11, 3.12 or 3.13 with its venv module; all else goes into .venv.
#   make PYTHON=/path/to/python3.12 ...   to choose the interpreter
#   make test ARGS="tests/store -x"       ARGS is handed on

SHELL := /bin/sh
.DEFAULT_GOAL := help
VENV  := .venv
BIN   := $(VENV)/bin
READY := $(VENV)/.ready
SEARCH := python3 python3.13 python3.12 python3.11
PYTHON ?=
ARGS ?=

.PHONY: help setup demo test test-servers test-others prove lint format bench bench-scale docs-check licences audit stories freeze mutate lock clean

help:  ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

demo: $(READY)  ## rehearse a whole trial on the real parts (ARGS="--exit" ends it by itself)
	@$(BIN)/neotorch demo $(ARGS)

ifeq ($(ARGS),)
test: $(READY)  ## run the whole test suite, what needs no Prefect server beside what does (ARGS="tests/store -x": that alone)
	@$(MAKE) --no-print-directory -j2 test-servers test-others
else
test: $(READY)
	@$(BIN)/python -m pytest $(ARGS)
endif

test-servers: $(READY)
	@$(BIN)/python -m pytest tests/flows tests/crash tests/browser tests/scale

test-others: $(READY)
	@$(BIN)/python -m pytest $(filter-out tests/flows tests/crash tests/browser tests/scale tests/cases tests/ledger tests/__pycache__,$(patsubst %/,%,$(wildcard tests/*/)))

prove: $(READY)  ## the long forms of all tests that count a promise, and docs/promises.md from them (hours; ARGS=--short: minutes; ARGS="seeds": that alone)
	@$(BIN)/python -m tests.prove $(ARGS)

lint: $(READY)  ## style, types and the layer rule
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)  ## format the code and fix what can be fixed by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## measure: events recorded, journey steps, wakes, estimates, recalculations, a rehearsal
	$(BIN)/python bench/record.py
	$(BIN)/python bench/latency.py
	$(BIN)/python bench/estimate.py
	$(BIN)/python bench/recalculate.py
	$(BIN)/python bench/rehearsal.py
	$(BIN)/python bench/backup.py

bench-scale: $(READY)  ## measure SQLite, Postgres, and Postgres + Redis + three workers side by side (half an hour; ARGS="--patients 1000")
	$(BIN)/python bench/scale.py $(ARGS)

docs-check: $(READY)  ## every command is documented, every link leads somewhere
	$(BIN)/python tools/docs_check.py

licences: $(READY)  ## list the licence of every pinned package, and check those needed at run time (ARGS=--check)
	@$(BIN)/python -m tools.licences $(ARGS)

audit: $(READY)  ## ask for known vulnerabilities of the pinned packages, where that can be had
	@$(BIN)/python -m tools.audit

stories: $(READY)  ## which patient story covers which rule and window of the study file (ARGS=report.md writes it)
	@$(BIN)/python -m tools.stories_report $(ARGS)

freeze: $(READY)  ## keep this version's log and what it says is due, once per release: later versions are held against it
	@$(BIN)/python -m tools.freeze

mutate: $(READY)  ## change the endpoint modules in every small way and count the changes that no test finds (an hour)
	PATH=$(abspath $(BIN)):$$PATH $(BIN)/mutmut run; $(BIN)/mutmut export-cicd-stats

lock: $(READY)  ## pin the dependencies anew (ARGS="--upgrade" or "--upgrade-package NAME" for newer ones)
	$(BIN)/python tools/lock.py $(ARGS)

setup: $(READY)  ## only prepare .venv

clean:  ## remove .venv and all caches (not the data in .neotorch)
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis *.egg-info

# Done again when the lock or the project file changes; code changes need nothing, the install is editable.
$(READY): requirements.lock pyproject.toml
	@python=$$(for p in $(or $(PYTHON),$(SEARCH)); do \
	    "$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && { echo "$$p"; break; }; \
	  done); \
	if [ -z "$$python" ]; then \
	  echo "neotorch needs Python 3.11, 3.12 or 3.13; none of these is one: $(or $(PYTHON),$(SEARCH))." >&2; \
	  echo "Install one, or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 2; \
	fi; \
	if ! $(BIN)/python -c 'import pip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then \
	  echo "Making $(VENV) with $$($$python --version) ..."; \
	  rm -rf $(VENV); \
	  "$$python" -m venv $(VENV) || { rm -rf $(VENV); \
	    echo "This Python has no working venv module; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 2; }; \
	fi
	@echo "Installing the pinned dependencies (one to two minutes the first time) ..."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
