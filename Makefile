# Everything runs in .venv, which the first target that needs it makes.
PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.installed
CLIENTS := .venv-clients/.installed
NODE_CLIENTS := tests/clients/node
DATA ?= data
PORT ?= 8080

.DEFAULT_GOAL := help
.PHONY: help install demo serve test clients lint types imports format train bench clean

help: ## list every target
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Chartlake needs Python 3.11 (make PYTHON=/path/to/python3.11 …)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(STAMP)

install: $(STAMP) ## make .venv with Chartlake and its development tools

demo: $(STAMP) ## see the whole lake at work, from nothing (a few minutes)
	$(BIN)/chartlake demo

serve: $(STAMP) ## run the service on http://127.0.0.1:8080 (DATA=folder PORT=number)
	$(BIN)/chartlake serve --data $(DATA) --port $(PORT)

$(CLIENTS): tests/clients/python/requirements.txt $(NODE_CLIENTS)/package-lock.json
	$(PYTHON) -m venv .venv-clients
	.venv-clients/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@if command -v npm >/dev/null; then npm ci --silent --ignore-scripts --omit=optional --omit=peer --legacy-peer-deps --prefix $(NODE_CLIENTS); \
	else echo "Without Node.js 20 the JavaScript clients are not tested."; fi
	@touch $(CLIENTS)

clients: $(CLIENTS) ## install the FHIR clients that the tests run against the service

test: $(STAMP) $(CLIENTS) ## run the tests (SLOW=1: also those that take long; COV=1: with coverage)
	$(BIN)/python -m pytest -n 2 --dist loadfile $(if $(SLOW),,-m 'not slow') $(if $(COV),--cov --cov-report=term)

lint: $(STAMP) imports ## check style and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

imports: $(STAMP) ## check that imports follow the arrows of docs/architecture.md
	$(BIN)/lint-imports

types: $(STAMP) ## check types
	$(BIN)/mypy

format: $(STAMP) ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

train: $(STAMP) ## rebuild the NLP's weights from the corpora in CHARTLAKE_DATA (an hour on two cores)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[train]'
	$(BIN)/chartlake nlp train

bench: $(STAMP) ## run every benchmark (bench/README.md)
	@for script in bench/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean: ## remove .venv, caches and the demonstration's lake
	rm -rf .venv .venv-clients $(NODE_CLIENTS)/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage demo-lake dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
