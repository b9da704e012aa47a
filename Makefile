# Every goal sets itself up first: a virtual environment in .venv, torch, then heeler, at the versions of constraints.txt.
# On a bare Debian or Ubuntu this needs python3.11 and its venv module, nothing else. `make test` as root installs
# PostgreSQL and Chromium there as well; without them the tests of stores on PostgreSQL and of pages are skipped.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt
# One thread a test process: two workers share the cores, and sums come out the same on every machine.
# Bytecode is kept even where the environment says not to: tests start the program some hundred times.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=

.PHONY: setup demo demo-chat test check bench format clean

setup: $(VENV)/dev.stamp

demo: $(VENV)/run.stamp
	$(BIN)/heeler run backflip

demo-chat: $(VENV)/chat.stamp
	$(BIN)/heeler run helpdesk
	$(BIN)/heeler serve runs/helpdesk-seed0 --open

test: $(VENV)/dev.stamp $(VENV)/postgresql.stamp $(VENV)/chromium.stamp
	$(ONE_THREAD) $(BIN)/python -m pytest -n 3
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 -m slow --timeout 2400

check: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

bench: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks all

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf build dist .pytest_cache .ruff_cache .import_linter_cache src/heeler.egg-info

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { \
		echo "$(PYTHON) is not here. On Debian or Ubuntu: sudo apt-get install python3.11 python3.11-venv;" \
		"or name another Python from 3.11 on: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is too old: heeler needs 3.11 or later. Name one: make PYTHON=python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) has no venv module. On Debian or Ubuntu: sudo apt-get install $(PYTHON)-venv" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# torch is installed by itself first: what comes after finds it there and asks for no other build of it.
$(VENV)/torch.stamp: constraints.txt | $(VENV)/bin/python
	$(PIP) "$$(grep '^torch==' constraints.txt)"
	@touch $@

$(VENV)/run.stamp: pyproject.toml $(VENV)/torch.stamp
	$(PIP) --editable .
	@touch $@

$(VENV)/chat.stamp: pyproject.toml $(VENV)/torch.stamp
	$(PIP) --editable '.[lm,service]'
	@touch $@ $(VENV)/run.stamp

# Debian keeps its programs out of the path. The tests start a server of their own and leave Debian's alone.
$(VENV)/postgresql.stamp: | $(VENV)/bin/python
	@if command -v pg_ctl >/dev/null || ls /usr/lib/postgresql/*/bin/pg_ctl >/dev/null 2>&1; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends postgresql; then :; \
	else \
		echo "PostgreSQL is not here: tests of stores on it will be skipped." \
			"On Debian or Ubuntu: sudo apt-get install postgresql" >&2; exit 0; \
	fi && touch $@

$(VENV)/chromium.stamp: | $(VENV)/bin/python
	@if command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
		command -v google-chrome >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium; then :; \
	else \
		echo "Chromium is not here: tests of the console's pages will be skipped." \
			"On Debian or Ubuntu: sudo apt-get install chromium" >&2; exit 0; \
	fi && touch $@

$(VENV)/dev.stamp: pyproject.toml $(VENV)/torch.stamp
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/run.stamp $(VENV)/chat.stamp
