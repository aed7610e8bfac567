PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH := .venv-bench
# Options for pip that say where torch comes from, such as an index of CPU builds.
TORCH_INDEX ?=

.PHONY: setup demo test test-slow lint bench clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev]'
	touch $@

# A tiny run leaves the machine code of all kernels in the user's cache.
$(VENV)/.compiled: $(VENV)/.ready $(wildcard rnnsim/kernels/*.py rnnsim/kernels/*/*.py)
	@echo "compiling the kernels (once, a minute or two)"
	$(BIN)/rnnsim truncation --gain 1 --length 8 --n-hidden 4 --network-seeds 1 \
		--batch-size 1 --output $(VENV)/tiny > $(VENV)/tiny.log
	touch $@

demo: setup $(VENV)/.compiled
	$(BIN)/rnnsim demo --output results

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/pytest --numprocesses 2
	NUMBA_DISABLE_JIT=1 $(BIN)/pytest --numprocesses 2 -m 'nojit and not slow'

# Large networks beside published numbers: minutes.
test-slow: setup
	$(BIN)/pytest -m slow

# The peers live in an environment of their own; half an hour on two cores.
$(BENCH)/.ready: pyproject.toml constraints.txt benchmarks/requirements.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check $(TORCH_INDEX) \
		--constraint constraints.txt --editable . --requirement benchmarks/requirements.txt
	touch $@

bench: $(BENCH)/.ready
	$(BENCH)/bin/python -m benchmarks --rounds 3

clean:
	rm -rf $(VENV) $(BENCH) results dist build
