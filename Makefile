# Two commands from a bare clone: `make demo` and `make test`. Both build .venv first, once.
#
#   PYTHON=python3.12     the interpreter, 3.10 to 3.13 (default: the first that is found)
#   TORCH=torch==2.13.0   the torch requirement: a version, a pip requirement or a wheel file
#   MMCV=compiled         compile mmcv's operators (many minutes, once) instead of taking mmcv-lite
#   ARGS="..."            passed on to the demo, or to pytest

.PHONY: help env .venv demo test test-slow lint docs clean
.DEFAULT_GOAL := help

BIN := .venv/bin

help:
	@echo "make demo       draw synthetic smears, train a teacher and a student, write an HTML report"
	@echo "make test       lint, type check and the quick tests"
	@echo "make test-slow  the tests that take minutes"
	@echo "make lint       ruff and mypy only"
	@echo "make docs       the documentation site, in site/"
	@echo "make env        build .venv only (the others do so by themselves)"
	@echo "make clean      remove .venv and what builds and tests leave"
	@echo "Variables: PYTHON=$(or $(PYTHON),python3)  TORCH=$(or $(TORCH),torch==2.13.0)  MMCV=$(or $(MMCV),lite)  ARGS="

env .venv:
	@PYTHON='$(PYTHON)' TORCH='$(TORCH)' MMCV='$(MMCV)' sh dev/setup_env.sh

demo: env
	$(BIN)/python tools/demo.py $(ARGS)

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# One OpenMP thread: the quick tests are tiny, and the processes share the cores.
test: lint
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -m "not slow" -n $${PYTEST_WORKERS:-2} --dist loadfile $(ARGS)

test-slow: env
	$(BIN)/python -m pytest -m slow $(ARGS)

# Every link is checked (mkdocs.yml is strict), and every table. Its packages are the extra [docs].
docs: env
	$(BIN)/python dev/tables.py --check
	$(BIN)/python dev/install_extra.py docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

clean:
	rm -rf site .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
