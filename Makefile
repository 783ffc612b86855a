# Everything a fresh machine needs is set up by the first target that is called: Python and make are enough.
PYTHON ?= python3
VENV := .venv
DEMO := .cache/demo
PROGRAMS := bin
ifeq ($(OS),Windows_NT)
PROGRAMS := Scripts
endif
BIN := $(VENV)/$(PROGRAMS)
READY := $(VENV)/ready
ARGS ?=

# tests start hundreds of Pythons, each of which would compile our modules and pytest's plugins again without bytecode
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test smoke lint docs gate bench cassettes dashboards pictures soak clean

demo: $(DEMO)/ready ## simulated providers, real traffic, the metrics on http://127.0.0.1:5000/metrics
	$(DEMO)/$(PROGRAMS)/llmmetrics demo $(ARGS)

# worksteal: a module stays with one worker as long as others have work, and so do the servers that it starts
test: $(READY) ## the whole test suite, in parallel, with coverage
	$(BIN)/python -m pytest -n auto --dist worksteal --cov --cov-report=term $(ARGS)

smoke: $(READY) ## the wheels with the oldest and the newest versions that they allow, on the Pythons of this machine
	$(BIN)/python tests/smoke.py

lint: $(READY) ## types, style, floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY) ## the documentation's site, in build/docs
	$(BIN)/zensical build --clean --strict

# some of the examples are about answers that carry no usage, which proves nothing and need not
gate: $(READY) ## what the examples' LLM calls cost, against the committed llm-costs.json
	$(BIN)/python -m pytest docs/examples -q -p no:cacheprovider --llm-gate --llm-gate-inconclusive=warn $(ARGS)

bench: $(READY) ## what metering, the plugin, a metered suite and the ledgers add, each against doing without
	$(BIN)/python benchmarks/added.py $(ARGS)
	$(BIN)/python benchmarks/presence.py
	$(BIN)/python benchmarks/ledgers.py $(ARGS)
	$(BIN)/python benchmarks/suite.py

cassettes: $(READY) ## the cassettes that ship with the plugin, from the simulated provider
	$(BIN)/python cassettes/make.py

dashboards: $(READY) ## the Grafana dashboard, from its rows and queries
	$(BIN)/python dashboards/build.py

pictures: $(READY) ## the documentation's pictures, from what the real programs draw
	PYTHONPATH=tests $(BIN)/python docs/pictures/make.py

soak: $(READY) ## the whole of what `make test` runs a tenth of
	LLMMETRICS_SOAK=1 $(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

$(READY): pyproject.toml runtime/pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e runtime -e '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --no-warn-conflicts --target $(VENV)/pytest-8.4 pytest==8.4.2
	touch $(READY)

# what a user of the demo has: none of the SDKs, frameworks and tools of the tests
$(DEMO)/ready: runtime/pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/$(PROGRAMS)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e 'runtime[cli]'
	touch $@

clean:
	rm -rf $(VENV) build/docs .cache .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
