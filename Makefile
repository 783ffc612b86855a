# The first target that is called sets up everything: a new machine needs only Python and make.
PYTHON ?= python3
VENV := .venv
DEMO := .cache/demo
CANARY := .cache/canary
PROGRAMS := bin
ifeq ($(OS),Windows_NT)
PROGRAMS := Scripts
endif
BIN := $(VENV)/$(PROGRAMS)
READY := $(VENV)/ready
ARGS ?=

# tests start hundreds of Pythons, each of which would compile our modules and pytest's plugins again without bytecode
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test smoke lint docs packages gate bench cassettes dashboards pictures soak fuzz canary clean

demo: $(DEMO)/ready ## simulated providers, real traffic, the metrics on http://127.0.0.1:5000/metrics
	$(DEMO)/$(PROGRAMS)/llmmetrics demo $(ARGS)

# worksteal: a module, with the servers that it starts, stays on one worker while the other workers have work
# the coverage of a part of the suite says nothing
test: $(READY) ## the whole test suite, in parallel, with coverage; a part of it: ARGS="tests/docs -q"
	$(BIN)/python -m pytest -n auto --dist worksteal $(or $(ARGS),--cov --cov-report=term)

smoke: $(READY) ## the wheels, with the oldest and the newest allowed dependencies, on the Pythons of this machine
	$(BIN)/python tests/smoke.py

lint: $(READY) ## style, types, import contracts, workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/zizmor --offline --quiet .github

docs: $(READY) ## the documentation's site, in build/docs
	$(BIN)/zensical build --clean --strict

packages: $(READY) ## both distributions, as they are released, in build/packages
	rm -rf build/packages
	$(BIN)/uv build --quiet --out-dir build/packages runtime
	$(BIN)/uv build --quiet --out-dir build/packages .
	$(BIN)/twine check --strict build/packages/*.whl build/packages/*.tar.gz

gate: $(READY) ## compare the cost of the examples' LLM calls with the committed llm-costs.json
	$(BIN)/python -m pytest docs/examples -q -p no:cacheprovider --llm-gate $(ARGS)

bench: $(READY) ## measure what metering, the plugin, a metered suite and the ledgers add
	$(BIN)/python benchmarks/ratios.py $(ARGS)
	$(BIN)/python benchmarks/presence.py
	$(BIN)/python benchmarks/ledgers.py $(ARGS)
	$(BIN)/python benchmarks/growth.py
	$(BIN)/python benchmarks/suite.py

cassettes: $(READY) ## build the shipped cassettes, from the simulated provider
	$(BIN)/python cassettes/make.py

dashboards: $(READY) ## build the Grafana dashboard, from its rows and queries
	$(BIN)/python dashboards/build.py

pictures: $(READY) ## draw the documentation's pictures, with the real programs
	PYTHONPATH=tests $(BIN)/python docs/pictures/make.py

soak: $(READY) ## the test suite with complete long checks, of which `make test` runs a tenth
	LLMMETRICS_SOAK=1 $(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

fuzz: $(READY) ## random and mutated input for every reader, ARGS=2h for so long, ARGS="5m --seed 3"
	PYTHONPATH=tests $(BIN)/python tests/fuzz.py $(ARGS)

canary: ## the test suite with the newest version of everything, in an environment of its own
	rm -rf $(CANARY)
	$(PYTHON) -m venv $(CANARY)
	$(CANARY)/$(PROGRAMS)/python -m pip install --quiet --disable-pip-version-check --upgrade --pre -e runtime -e '.[dev]'
	$(CANARY)/$(PROGRAMS)/python -m pytest -n auto --dist worksteal $(ARGS)

$(READY): pyproject.toml runtime/pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e runtime -e '.[dev]'
	$(BIN)/uv pip install --quiet --python $(BIN)/python --target $(VENV)/pytest-8.4 pytest==8.4.2
	touch $(READY)

# a separate environment for the demo, without the SDKs, frameworks and tools of the tests
$(DEMO)/ready: runtime/pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/$(PROGRAMS)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e 'runtime[cli]'
	touch $@

clean:
	rm -rf $(VENV) build .cache .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
