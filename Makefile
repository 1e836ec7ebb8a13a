# `make demo` and `make test` need nothing but Python 3.11 or newer: they set up .venv first.
PYTHON ?= python3
PIP_ARGS ?=
BIN := .venv/bin

.PHONY: install demo test slow check extras docs format bench bench-edge bench-device quick clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) --constraint constraints.txt --editable ".[dev]"
	touch $@

demo: install
	$(BIN)/caesura demo --out demo

test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "not slow"

# the tests that train for long; continuous integration runs both
slow: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m slow

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

# tests of extras in an environment of their own: aeon caps numpy and pandas, others are heavy
extras: .venv-extras/installed
	OMP_NUM_THREADS=1 .venv-extras/bin/python -m pytest tests/estimators/test_aeon.py \
	  tests/training/test_track.py tests/estimators/test_sktime.py tests/test_shards_ray.py

.venv-extras/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-extras
	grep '^torch==' constraints.txt > .venv-extras/constraints.txt
	.venv-extras/bin/python -m pip install --quiet $(PIP_ARGS) --constraint .venv-extras/constraints.txt \
	  --editable ".[aeon,sktime,ray,track,docs,export]" pytest hypothesis beartype
	touch $@

# the documentation site, in site/
docs: .venv-extras/installed
	OMP_NUM_THREADS=1 PATH="$(CURDIR)/.venv-extras/bin:$$PATH" \
	  .venv-extras/bin/sphinx-build -q -W --keep-going -b html docs site

# every verb on a GPU, beside the CPU
bench-device: install
	$(BIN)/python benchmarks/device_smoke.py

# latency, size and parity of exported encoders
bench-edge: install
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/edge.py $(OUT)

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-extras demo site
