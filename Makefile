# The targets a user or a developer runs; `make help` lists them.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
LOCK   := .ci/lock
JOBS   ?= auto

.DEFAULT_GOAL := help
.PHONY: help venv demo test needs check format snapshots pictures bench bench-network lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is older than 3.11; run: make PYTHON=python3.11 …" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $(PYTHON) cannot make a virtual environment; run: apt install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# --only-binary: no compiler is ever needed; --require-hashes: nothing but what the lock names.
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all:
EDITABLE = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
COMPILE = $(BIN)/python -m compileall -q qudag_node qudag_tui

$(VENV)/.run: $(LOCK)/run.txt pyproject.toml | $(BIN)/python
	$(INSTALL) -r $(LOCK)/run.txt
	$(EDITABLE)
	$(COMPILE)
	@touch $@

$(VENV)/.dev: $(LOCK)/dev.txt pyproject.toml | $(BIN)/python
	$(INSTALL) -r $(LOCK)/dev.txt
	$(EDITABLE)
	$(COMPILE)
	@touch $@ $(VENV)/.run

venv: $(VENV)/.dev ## make .venv with everything a developer needs

demo: $(VENV)/.run ## start five nodes with traffic and bad links, and watch one of them
	@$(BIN)/qudag-top --demo

needs: ## install what the tests need of the system, where it is missing and root or sudo is there
	@.ci/needs

test: $(VENV)/.dev ## run all tests and print branch coverage
	@$(BIN)/python .ci/test.py -n $(JOBS)

check: $(VENV)/.dev ## format, lint, types, import contracts, documentation in step
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PYRIGHT_PYTHON_USE_BUNDLED_PYRIGHT=1 $(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -p no:cacheprovider tests/test_docs.py

format: $(VENV)/.dev ## rewrite the code in the house's format
	$(BIN)/ruff check --fix --exit-zero .
	$(BIN)/ruff format .

snapshots: $(VENV)/.dev ## accept the present screens, frames and outputs as golden
	$(BIN)/python -m pytest -q -n $(JOBS) --snapshot-update

pictures: $(VENV)/.dev ## draw the pictures of the README from a real lab
	$(BIN)/python .ci/pictures.py

bench: $(VENV)/.dev ## measure against the peers and print the table
	@$(BIN)/python -m benchmarks

bench-network: $(VENV)/.dev ## measure the network tests against the kernel's truth, ping, irtt and iperf3
	@$(BIN)/python -m benchmarks network

lock: ## resolve the dependencies anew (needs uv)
	printf 'hatchling>=1.27\neditables\n' | uv pip compile pyproject.toml - --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet -o $(LOCK)/run.txt
	uv pip compile pyproject.toml --extra dev -c $(LOCK)/run.txt --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet -o $(LOCK)/dev.txt

clean: ## remove what make made
	rm -rf $(VENV) build .coverage* htmlcov .pytest_cache .mypy_cache .ruff_cache
