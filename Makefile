# drawloom: what a developer runs. `make help` lists the targets.

PYTHON ?= python3

BIN   := .venv/bin
STAMP := .venv/.stamp
PINS  := requirements/dev.txt

# A second environment, for the tests that need PyTorch: it is large, and the rest must do without.
TORCH       := .venv-torch
TORCH_STAMP := $(TORCH)/.stamp
TORCH_PINS  := requirements/torch.txt

# Two workers on two cores: a library that starts a thread a core in each of them waits on itself.
PYTEST := OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2

# A Python that will do: at least 3.11, and able to make a virtual environment.
FITS := import ensurepip, sys; sys.exit(sys.version_info < (3, 11))

.DEFAULT_GOAL := help
.PHONY: help setup demo test slow test-torch check format bench pins

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP)  ## make .venv from the pins, with drawloom in it (again when they change)

$(STAMP): pyproject.toml $(PINS)
	@if [ ! -x $(BIN)/python ]; then \
	  found=; \
	  for python in $(PYTHON) python3.13 python3.12 python3.11; do \
	    if $$python -c '$(FITS)' >/dev/null 2>&1; then found=$$python; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "drawloom needs Python 3.11 or newer, with its venv module." >&2; \
	    echo "  has   $$($(PYTHON) --version 2>&1 | tail -n 1) ('$(PYTHON)'), and no python3.13, 3.12 or 3.11 that will do" >&2; \
	    echo "  try   make setup PYTHON=/path/to/python3.12" >&2; \
	    exit 1; \
	  fi; \
	  echo "making .venv with $$found ($$($$found --version))"; \
	  $$found -m venv .venv; \
	fi
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --require-hashes --only-binary :all: -r $(PINS)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --no-deps --no-build-isolation -e .
	@touch $@

demo: setup  ## map a digit classifier onto a chip, run it, show what it costs
	$(BIN)/python examples/digits/demo.py

test: setup  ## every test that is not slow
	$(PYTEST) -m "not slow"

slow: setup  ## the slow tests
	@if $(BIN)/python -m pytest -q -m slow --collect-only >/dev/null 2>&1; status=$$?; [ $$status -eq 5 ]; then \
	  echo "slow: no test is marked slow; nothing to run"; \
	else \
	  $(PYTEST) -m slow; \
	fi

test-torch: $(TORCH_STAMP)  ## the tests of the PyTorch frontend, in an environment of their own
	OMP_NUM_THREADS=1 $(TORCH)/bin/python -m pytest -q tests/frontends/torch -n 2 --dist loadfile

$(TORCH_STAMP): $(STAMP) $(PINS) $(TORCH_PINS)
	@[ -x $(TORCH)/bin/python ] || $(BIN)/python -m venv $(TORCH)
	$(TORCH)/bin/python -m pip install --quiet --disable-pip-version-check \
	  --no-compile --require-hashes --only-binary :all: -r $(PINS) -r $(TORCH_PINS)
	$(TORCH)/bin/python -m pip install --quiet --disable-pip-version-check \
	  --no-deps --no-build-isolation -e .
	@touch $@

check: setup  ## style, types, the ladder of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/basedpyright
	$(BIN)/lint-imports --no-logo

format: setup  ## let ruff lay the code out and mend what it can
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

bench: setup  ## run every benchmark in benchmarks/
	@set -e; for bench in benchmarks/*.py; do echo "== $$bench"; $(BIN)/python "$$bench"; done

# Keeps the versions that stand in the pins unless pyproject.toml asks for others;
# UPGRADE=--upgrade takes the newest.
COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --universal --generate-hashes \
  --no-emit-index-url --no-annotate --no-header --python-version 3.11 $(UPGRADE)

pins:  ## write requirements/*.txt anew from pyproject.toml
	$(COMPILE) --extra dev -o requirements/dev.txt
	$(COMPILE) -c requirements/dev.txt -o requirements/runtime.txt
