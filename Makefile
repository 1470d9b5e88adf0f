# Everything a newcomer needs is `make demo` and `make test`; both make their own .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# More than the cores of a small machine: many tests wait for other processes. Files come in the order of their names, so
# that those with few long tests are not left for the end, when nothing else is there to do beside them.
PYTEST_WORKERS ?= 3
# What the demo keeps metadata and blobs in: sqlite or postgres, file or s3.
CARNET_DATABASE ?= sqlite
CARNET_BLOBS ?= file

.DEFAULT_GOAL := help
.PHONY: help demo test fuzz chaos lint format proto proto-check bench clean

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Carnet needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade 'pip>=25.1'

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --editable '.[demo]'
	@touch $@

$(VENV)/.demo-backends: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --editable '.[demo,backends]'
	@touch $@ $(VENV)/.demo

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --editable '.[demo]' --group test
	@touch $@ $(VENV)/.demo $(VENV)/.demo-backends

$(VENV)/.lint: $(VENV)/.test
	$(PIP) install --group lint
	@touch $@

demo: $(VENV)/.demo$(if $(filter-out sqlite file,$(CARNET_DATABASE) $(CARNET_BLOBS)),-backends) ## Carry a real model from dev to prod, on this machine.
	@$(BIN)/carnet demo --dir .carnet --database $(CARNET_DATABASE) --blobs $(CARNET_BLOBS)

test: $(VENV)/.test ## Run the tests: unit, contract, integration, conformance.
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder

fuzz: $(VENV)/.test ## Try every property on twenty times as many examples as `make test` does.
	CARNET_FUZZ=20 $(BIN)/python -m pytest -n $(PYTEST_WORKERS) -m 'hypothesis and not chaos' -o timeout=3600 tests

chaos: $(VENV)/.test ## Kill processes and break transfers again and again, for longer than `make test` does.
	$(BIN)/python -m pytest -m chaos tests/chaos

lint: $(VENV)/.lint ## Check style, types, imports and that the generated code is current.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) --no-print-directory proto-check

format: $(VENV)/.lint ## Put the code in the house's form.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

PROTOS := $(sort $(wildcard proto/carnet/*/v1/*.proto))
proto: $(VENV)/.lint ## Generate the Python code of the contract into sdk/.
	$(BIN)/python proto/generate.py --out sdk

proto-check: $(VENV)/.lint
	$(BIN)/python proto/generate.py --check --out sdk

bench: $(VENV)/.test ## Measure what the documentation states, as ratios in one run.
	$(BIN)/python -m benchmarks

clean: ## Remove what the targets made, the demo's environments included.
	-[ ! -d .carnet ] || $(BIN)/carnet down --dir .carnet
	rm -rf $(VENV) .carnet .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
