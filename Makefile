# `make demo` and `make test` need nothing but Python 3.11 or newer: they set up .venv first.
PYTHON ?= python3
PIP_ARGS ?=
BIN := .venv/bin

.PHONY: install demo test check aeon format bench bench-edge quick clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) --constraint constraints.txt --editable ".[dev]"
	touch $@

demo: install
	$(BIN)/caesura demo --out demo

test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# every published experiment in its quick form; DATA: the folder that `caesura reproduce list` names
quick: install
	OMP_NUM_THREADS=1 $(BIN)/caesura reproduce all $(if $(DATA),--data $(DATA)) --out $(or $(OUT),reproduced)

bench: install
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) --constraint constraints.txt --editable ".[bench]"
	$(BIN)/python benchmarks/bench.py

# aeon's own checks, in an environment of their own: aeon caps numpy and pandas
aeon: .venv-aeon/installed
	OMP_NUM_THREADS=1 .venv-aeon/bin/python -m pytest tests/estimators/test_aeon.py

.venv-aeon/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-aeon
	grep '^torch==' constraints.txt > .venv-aeon/constraints.txt
	.venv-aeon/bin/python -m pip install --quiet $(PIP_ARGS) --constraint .venv-aeon/constraints.txt \
	  --editable ".[aeon]" pytest hypothesis beartype
	touch $@

# latency, size and parity of exported encoders
bench-edge: install
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/edge.py $(OUT)

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-aeon demo
