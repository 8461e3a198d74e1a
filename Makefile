# `make demo` and `make test` need nothing but Python 3.11 or later: each sets up .venv when it has to.
# Plain enough for the make 3.81 of macOS.

PYTHON ?= python3
PROMPT ?=
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet

export PROMPT

.PHONY: help demo test mypy pyright conformance bench pictures fuzz lock audit clean

help:
	@echo "make demo                  two peers on this machine, and a chat with the model they share"
	@echo "make demo PROMPT=\"Hello\"   ask once; ARGS=\"--peers 4\" for whatever else meshinfer demo takes"
	@echo "make test                  everything that must pass: linters, types, tests, the wheel"
	@echo "make conformance           every architecture of mlx-lm in cut rings, as a table; some minutes"
	@echo "make bench                 what frames, steps, prompts, readers and fetching cost here; an hour"
	@echo "make fuzz                  ten million hostile inputs to all that reads what others wrote; an hour"
	@echo "make lock                  the newest of all that is needed, as what CI installs from then on"
	@echo "make audit                 known vulnerabilities in what is locked (asks the network)"
	@echo "make pictures              the README's pictures, taken of a real ring (needs chromium)"
	@echo "make clean                 forget $(VENV) and all that was built"

demo: $(VENV)/.installed
	@if [ -n "$$PROMPT" ]; then exec $(BIN)/meshinfer demo --prompt "$$PROMPT" $(ARGS); \
	else exec $(BIN)/meshinfer demo $(ARGS); fi

test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(MAKE) --no-print-directory -j2 mypy pyright
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder -m 'not long' $(ARGS)
	$(BIN)/python .ci/check_wheel.py

mypy pyright: $(VENV)/.installed-dev
	$(BIN)/$@

conformance: $(VENV)/.installed-dev
	$(BIN)/python -m tests.conformance $(ARGS)

bench: $(VENV)/.installed-dev
	$(BIN)/python -m tests.bench.bench_link
	$(BIN)/python -m tests.bench.bench_parts
	$(BIN)/python -m tests.bench.bench_shard_step
	$(BIN)/python -m tests.bench.bench_ring_step
	$(BIN)/python -m tests.bench.measure_hop
	$(BIN)/python -m tests.bench.bench_launch
	$(BIN)/python -m tests.bench.bench_lanes
	$(BIN)/python -m tests.bench.bench_load
	$(BIN)/python -m tests.bench.bench_transfer
	$(BIN)/python -m tests.bench.measure_spread
	$(BIN)/python -m tests.bench.bench_readers

pictures: $(VENV)/.installed-dev
	$(BIN)/python -m tests.pictures.page
	$(BIN)/python -m tests.pictures.terminal

fuzz: $(VENV)/.installed-dev
	$(BIN)/python -m tests.fuzz --inputs 10000000 $(ARGS)

lock: $(VENV)/.installed-dev
	$(PIP) install --upgrade --upgrade-strategy eager --editable '.[dev]'
	$(BIN)/python -m tests.supply.lock

# In an environment of its own: what it needs is none of our business.
audit: $(BIN)/python
	$(BIN)/python -m venv .venv-audit
	.venv-audit/bin/python -m pip --quiet install pip-audit
	.venv-audit/bin/pip-audit --strict --no-deps --disable-pip --requirement .ci/constraints.txt $(ARGS)

clean:
	rm -rf $(VENV) build dist meshinfer_mlx.egg-info .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find meshinfer transports topology tests examples -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are newer than pyproject.toml as long as nothing is to be done.
$(VENV)/.installed: pyproject.toml $(BIN)/python
	@echo "installing meshinfer and what it needs into $(VENV) (once; some minutes on a slow line)"
	@$(PIP) install --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml .ci/constraints.txt $(BIN)/python
	@echo "installing meshinfer and the tools of its tests into $(VENV) (once; some minutes on a slow line)"
	@$(PIP) install --constraint .ci/constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/.installed

$(BIN)/python:
	@lacking=; \
	for python in $(PYTHON) python3.13 python3.12 python3.11 python3; do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
	  if "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then \
	    echo "making $(VENV) with $$("$$python" --version)"; \
	    exec "$$python" -m venv --clear $(VENV); \
	  fi; \
	  lacking=$$python; \
	done; \
	if [ -n "$$lacking" ]; then \
	  echo "$$lacking cannot make virtual environments: apt install python3-venv" >&2; exit 1; \
	fi; \
	echo "meshinfer needs Python 3.11 or later, and found none: install one, such as" >&2; \
	echo "  apt install python3 python3-venv      (Debian 12, Ubuntu 24.04 or later)" >&2; \
	echo "  brew install python@3.13              (macOS)" >&2; \
	echo "or say where it is: make PYTHON=/path/to/python3.12 ..." >&2; \
	exit 1
