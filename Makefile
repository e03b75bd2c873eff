# Every command of this project; `make help` lists them. They need Python 3.11 or newer and make:
# the rest comes into .venv, at the versions of constraints.txt.

SHELL := /bin/sh
.SHELLFLAGS := -ec
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
# Another environment that happens to be active is none of ours; IPython warns of it.
unexport VIRTUAL_ENV

# The interpreter that .venv is made from: the first one that is new enough.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then echo $$python; break; fi; done)
VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --disable-pip-version-check install --quiet -c constraints.txt

# Further words for the commands below, such as `make test PYTEST_ARGS="-k digits"`.
PYTEST_ARGS ?=
BENCH_ARGS ?=
TORCH_ARGS ?=
LAB_ARGS ?=
SERVE_ARGS ?=

DEV := $(VENV)/.dev-stamp
HEAVY := $(VENV)/.heavy-stamp

.PHONY: help
help:  ## list the commands
	@awk -F ':.*## +' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' Makefile

$(RUN):
	@if [ -z "$(PYTHON)" ]; then \
		echo "Norman needs Python 3.11 or newer, and none was found. Install one, or name it:" >&2; \
		echo "    make PYTHON=/path/to/python3.11" >&2; exit 1; fi
	@if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo "$(PYTHON) is older than Python 3.11, or no Python. Name a newer one:" >&2; \
		echo "    make PYTHON=/path/to/python3.11" >&2; exit 1; fi
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) can't make virtual environments. On Debian and Ubuntu its package" >&2; \
		echo "python3-venv does that; install it and try again." >&2; exit 1; }

$(DEV): pyproject.toml constraints.txt | $(RUN)
	@echo "Setting up $(VENV) …"
	@$(PIP) --upgrade pip
	@$(PIP) --editable ".[onnx]" --group dev
	@touch $@

$(HEAVY): $(DEV)
	@echo "Setting up torch (its CPU build) and transformers …"
	@$(PIP) --group heavy $(TORCH_ARGS) || { \
		echo "The package index in use has no CPU build of torch, and a CUDA build is never" >&2; \
		echo "installed unasked. Name an index that has one (see pytorch.org, Start Locally):" >&2; \
		echo "    make test-all TORCH_ARGS='--extra-index-url ADDRESS'" >&2; exit 1; }
	@touch $@

.PHONY: setup
setup: $(DEV)  ## make .venv with all that development needs

.PHONY: demo
demo: $(DEV)  ## run examples/quickstart.ipynb through a real Jupyter server
	@$(RUN) -m tools.demo run

.PHONY: lab
lab: $(DEV) build-labextension  ## open the demo in JupyterLab
	@exec $(RUN) -m tools.demo lab -- $(LAB_ARGS)

.PHONY: serve
serve: $(DEV)  ## start the server alone, on the demo's home
	@exec $(RUN) -m tools.demo serve -- $(SERVE_ARGS)

.PHONY: format
format: $(DEV)  ## format the Python code, and fix what a tool can
	@$(RUN) -m ruff check --fix-only --quiet
	@$(RUN) -m ruff format

.PHONY: lint
lint: $(DEV)  ## format, lint, types and floors of the Python code
	@$(RUN) -m ruff format --check
	@$(RUN) -m ruff check
	@$(RUN) -m mypy
	@$(RUN) -m mypy --package tools --package benchmarks
	@$(VENV)/bin/lint-imports

.PHONY: build-labextension
build-labextension: $(DEV)  ## build the JupyterLab extension
	@$(RUN) tools/build_labextension.py

.PHONY: lint-labextension
lint-labextension: build-labextension  ## lint, types and tests of the JupyterLab extension
	@$(RUN) tools/build_labextension.py --check

.PHONY: test
test: lint lint-labextension  ## every check but the heavy ones
	@$(RUN) -m pytest -m "not heavy" $(PYTEST_ARGS)

.PHONY: test-all
test-all: lint lint-labextension $(HEAVY)  ## every check
	@$(RUN) -m pytest $(PYTEST_ARGS)

.PHONY: bench
bench: $(DEV)  ## measure, and write benchmarks/results/
	@$(RUN) -m benchmarks $(BENCH_ARGS)

.PHONY: constraints
constraints: $(DEV)  ## renew constraints.txt with the newest versions that fit
	@$(RUN) -m tools.pin $(TORCH_ARGS)

.PHONY: clean
clean:  ## remove what was built, and the demo; .venv stays
	@rm -rf .demo dist build benchmarks/results norman_jupyter/labextension labextension/lib
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -not -path './.venv/*' -not -path '*/node_modules/*' -prune -exec rm -rf {} +
