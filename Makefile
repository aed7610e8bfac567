PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH := .venv-bench
OLDEST := .venv-oldest
LATEST := .venv-latest
FRAMEWORKS := .venv-frameworks
# The small lane: what hangs on rounding or on other packages, in a minute with compilation.
LANE = -m 'lane and not slow' -k 'not float32' $(call marked,lane)
# Files with tests of a mark: to collect all others takes longer than many a lane.
marked = $(shell grep --recursive --files-with-matches --include='test_*.py' 'mark\.$(1)\b' tests)
# Options for pip that say where torch comes from, such as an index of CPU builds.
TORCH_INDEX ?=
# A checker of accessibility, for pages in a browser.
AXE := axe-core-4.14.1
# What sets formulas on pages, one file.
MATHJAX := mathjax-3.2.2

# Processes and the commands that tests run find the bytecode of those before them.
export PYTHONDONTWRITEBYTECODE =

.PHONY: setup demo docs test test-processors test-oldest test-latest test-slow test-frameworks \
	lint browser bench dist release-check clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev]'
	touch $@

# The machine code of all kernels, in the user's cache; on all cores, where tests wait for each other.
$(VENV)/.compiled: $(VENV)/.ready $(wildcard rnnsim/kernels/*.py rnnsim/kernels/*/*.py)
	$(BIN)/rnnsim compile
	touch $@

# Compiles what it draws, and no more.
demo: setup
	$(BIN)/rnnsim demo --output results --overwrite

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Types are checked while the site is built, which at the end keeps one core busy.
test: browser $(VENV)/.docs
	$(MAKE) --jobs=2 lint docs
	$(BIN)/pytest --numprocesses 2 --dist worksteal
	NUMBA_DISABLE_JIT=1 $(BIN)/pytest --numprocesses 2 -m 'nojit and not slow' $(call marked,nojit)
	$(MAKE) test-processors
	$(MAKE) test-oldest

# What reads reports as people do, and is no package of Python. Where it cannot be had the tests in
# a browser are skipped, and say so; with CI set they fail, else nobody would miss them.
browser: .browser/axe.min.js
	@command -v chromium || command -v chromium-browser || command -v google-chrome || \
		(apt-get update --quiet --quiet && apt-get install --yes --quiet --quiet chromium) || \
		echo "Chromium cannot be installed from here"

.browser/axe.min.js:
	@mkdir -p $(@D)
	@(cd $(@D) && npm pack --silent axe-core@$(AXE:axe-core-%=%)) && \
		tar -xzOf $(@D)/$(AXE).tgz package/axe.min.js > $@.part && mv $@.part $@ || \
		echo "axe-core cannot be fetched from here"

$(VENV)/.docs: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev,docs]'
	touch $@

docs/_static/mathjax.js:
	@(cd $(@D) && npm pack --silent mathjax@$(MATHJAX:mathjax-%=%)) && \
		tar -xzOf $(@D)/$(MATHJAX).tgz package/es5/tex-svg.js > $@.part && mv $@.part $@ && \
		rm $(@D)/$(MATHJAX).tgz

# The site, in docs/_build/html; what was drawn before is kept. Nothing is fetched while it is built.
docs: $(VENV)/.docs $(VENV)/.compiled docs/_static/mathjax.js
	rm -rf docs/_build/html
	$(BIN)/sphinx-build --write-all --fail-on-warning --keep-going --nitpicky docs docs/_build/html

# As on processors without AVX-512 and without FMA, where this one has them, side by side.
test-processors: setup
	$(BIN)/python tests/processors.py $(BIN)/pytest $(LANE)

$(OLDEST)/.ready: pyproject.toml oldest.txt
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --constraint oldest.txt \
		--editable '.[digits,numbers,files]' pytest pytest-xdist hypothesis threadpoolctl
	touch $@

# With the oldest versions that pyproject.toml allows; there are none of them for Python 3.13.
test-oldest:
	@if $(PYTHON) -c 'import sys; sys.exit(sys.version_info >= (3, 13))'; then \
		$(MAKE) $(OLDEST)/.ready && $(OLDEST)/bin/pytest --numprocesses 2 --dist loadfile $(LANE); \
	else \
		echo "the oldest dependencies are not made for this Python: nothing to test with"; \
	fi

# With the newest versions that can be had, of the Python at hand: what users install today.
test-latest:
	$(PYTHON) -m venv --clear $(LATEST)
	$(LATEST)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade \
		--editable '.[digits,numbers,files]' pytest pytest-xdist hypothesis threadpoolctl
	$(LATEST)/bin/pytest --numprocesses 2 --dist loadfile $(LANE)

# Wheel and source archive, each installed by itself, from where a figure is drawn.
dist: setup
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/python tests/docs/installed.py dist

# The changelog, the project and the citation name one version; with TAG the tag does so too.
release-check: setup
	$(BIN)/python tests/docs/release.py $(TAG)

# Large networks beside published numbers: minutes.
test-slow: setup
	$(BIN)/pytest -m slow

$(FRAMEWORKS)/.ready: pyproject.toml constraints.txt tests/importing/fixtures/requirements.txt
	$(PYTHON) -m venv $(FRAMEWORKS)
	$(FRAMEWORKS)/bin/python -m pip install --quiet --disable-pip-version-check $(TORCH_INDEX) \
		--constraint constraints.txt --editable '.[files]' pytest hypothesis \
		--requirement tests/importing/fixtures/requirements.txt
	touch $@

# PyTorch, Keras, Flax and ONNX write their files anew, load what rnnsim writes, and are probed;
# what was trained there is diagnosed.
test-frameworks: $(FRAMEWORKS)/.ready
	$(FRAMEWORKS)/bin/pytest tests/importing tests/probing tests/diagnosis tests/docs -m frameworks

# The peers live in an environment of their own; half an hour on two cores.
$(BENCH)/.ready: pyproject.toml constraints.txt benchmarks/requirements.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check $(TORCH_INDEX) \
		--constraint constraints.txt --editable . --requirement benchmarks/requirements.txt
	touch $@

bench: $(BENCH)/.ready
	$(BENCH)/bin/python -m benchmarks
	$(BENCH)/bin/python -m benchmarks --workloads spectra spectrum --no-cost-laws --output docs/benchmarks/lyapunov

clean:
	rm -rf $(VENV) $(BENCH) $(OLDEST) $(LATEST) $(FRAMEWORKS) .browser results dist build \
		docs/_build docs/auto_gallery docs/tutorials docs/figures/_drawn docs/api/generated docs/api/backreferences
