# `make demo` and `make test` each set up everything they need in .venv, and may be run again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test coverage browser docs clean

demo: $(VENV)/.demo
	$(BIN)/python recipes/demo/run.py

test: $(VENV)/.dev browser
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@# A file of tests to a process, which computes on one core: more threads wait for each other.
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile $(PYTEST)

# Beside the tests, since following every line takes a quarter of their time again.
coverage: PYTEST := --cov=foldformer --cov-report=term:skip-covered
coverage: test

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	    || { echo "foldformer needs Python 3.10 or newer; set PYTHON=..., see README.md"; exit 1; }
	@# Debian keeps the module that fills a new environment in a package of its own.
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	    test "$$(id -u)" = 0 && apt-get update -q && apt-get install -y -q python3-venv \
	    && $(PYTHON) -m venv $(VENV); } \
	    || { rm -rf $(VENV); echo "no virtual environment could be made; on Debian: apt install python3-venv"; exit 1; }

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all]'
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/.demo

# Tests open pages in Chromium, which no Python package brings.
browser: $(VENV)/.dev
	@$(BIN)/python benchmarks/_browser.py || { test "$$(id -u)" = 0 && apt-get update -q \
	    && apt-get install -y -q --no-install-recommends chromium-headless-shell \
	    && $(BIN)/python benchmarks/_browser.py; } \
	    || { echo "the tests need Chromium; on Debian: apt install chromium-headless-shell"; exit 1; }

docs: $(VENV)/.dev
	$(BIN)/sphinx-build -W --keep-going -q -b html docs build/docs
	@echo build/docs/index.html

clean:
	rm -rf $(VENV) build demo
