# Few targets. Each one makes .venv and syncs it from the lock first: nothing needs a step before it.
.PHONY: demo test check docs release bench serve sync faults
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.synced

# Where it is set, every process would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

help:
	@echo "make demo    real clicks in, numbers out, then keeps serving (ONCE=1 stops)"
	@echo "make test    every test"
	@echo "make faults  200 rounds of kills and every injected error (ARGS='--rounds 20 --seed 7')"
	@echo "make check   format, lint, types, imports, generated blocks of the docs"
	@echo "make docs    write those blocks anew"
	@echo "make release VERSION=1.2.0    fold changelog.d/ into CHANGELOG.md"
	@echo "make bench   the benchmarks (ONLY=drain for one)"
	@echo "make serve   Footfall on the data directory .serve-data"
	@echo "make sync    create or update .venv from the lock"

# uv itself comes from the package index into the venv, so that Python and make are enough.
$(STAMP): pyproject.toml uv.lock hatch_build.py
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"
	VIRTUAL_ENV= UV_PROJECT_ENVIRONMENT=$(VENV) $(BIN)/uv sync --frozen --quiet --inexact
	@touch $@

sync: $(STAMP)

demo: $(STAMP)
	ONCE=$(ONCE) $(BIN)/footfall demo

serve: $(STAMP)
	$(BIN)/footfall serve --data .serve-data

test: $(STAMP)
	$(BIN)/python -m tests $(ARGS)

faults: $(STAMP)
	$(BIN)/python -m tests.faults $(ARGS)

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m docs.generate --check

docs: $(STAMP)
	$(BIN)/python -m docs.generate

release: $(STAMP)
	$(BIN)/python -m docs.generate.changelog $(VERSION)

bench: $(STAMP)
	$(BIN)/python -m bench $(ONLY)
