# Commands for users and developers. `make help` lists them. None needs root.

PYTHON ?= python3
SWEEP ?= sweeps/quickstart.yaml
EXECUTOR ?= auto
VARIANT ?= none
FAULTS ?= build/faults.jsonl
WORKERS ?= 2

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# What `make sweep` needs is also there if the development tools are.
RUNTIME := $(firstword $(wildcard $(READY)) $(VENV)/.runtime)
PYTEST := $(BIN)/pytest -n $(WORKERS) --durations=20
HASH := \#
# The sample, if SWEEP trains on it: a line that is not a comment has `root: data/sample`.
SAMPLE := $(shell grep -qsE '^[^$(HASH)]*root: *["'\'']?([^ ]*/)?data/sample/*["'\'']?([ ,}]|$$)' '$(SWEEP)' && echo data/sample/groups.csv)

.DEFAULT_GOAL := help
.PHONY: help sweep test test-train test-slurm test-faults test-all coverage check fix docs slurm-up slurm-down simulate bench results-page pictures clean
.DELETE_ON_ERROR:
# If it were set, each of the hundreds of Python processes below would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  SWEEP=$(SWEEP)  EXECUTOR=$(EXECUTOR) (auto, slurm, local)  VARIANT=$(VARIANT) (none, dbd)  PYTHON=$(PYTHON)"

sweep: $(RUNTIME) $(SAMPLE) ## Run SWEEP to its end, then print its table; Ctrl-C does not end the trainings
	$(BIN)/unetsweep submit $(SWEEP) --executor $(EXECUTOR) --watch
	$(BIN)/unetsweep report $(SWEEP)
	$(BIN)/unetsweep data baseline $(SWEEP)

test: $(READY) ## Run the tests that need neither SLURM nor PyTorch, WORKERS at a time (minutes)
	$(PYTEST) -m 'not slurm and not train and not thorough' --ignore tests/slurm --ignore tests/training

test-train: $(READY) ## Run the tests that need PyTorch; most train a tiny network (minutes)
	$(PYTEST) -m 'train and not slurm and not thorough' tests

test-slurm: $(READY) ## Run the tests on a real SLURM, which they start and stop themselves
	$(BIN)/pytest -n 3 --durations=20 -m 'slurm and not thorough' tests/faults tests/slurm

test-faults: $(READY) ## Cause every fault three times on a real SLURM and judge the results
	$(BIN)/python tests/faults --results $(FAULTS)

test-all: check test test-train test-slurm test-faults simulate ## Run all tests, for hours; see docs/testing.md
	$(PYTEST) -m thorough
	TESTBED_VARIANT=dbd $(PYTEST) -m 'slurm and not thorough' tests/slurm
	HYPOTHESIS_EXAMPLES=1000 $(PYTEST) tests/core tests/config tests/report tests/datasets
	$(BIN)/python tests/planted.py
	$(BIN)/python -m tests.damage --all

coverage: $(READY) ## Run the tests that need no SLURM and show which lines and branches they reach
	rm -rf build/coverage
	$(BIN)/coverage run -m pytest -n $(WORKERS) -m 'not slurm and not thorough'
	$(BIN)/coverage combine --quiet && rm -f build/coverage/data.*  # incomplete data of killed processes
	$(BIN)/coverage report --format total | xargs echo 'lines and branches of the package, percent:'
	$(BIN)/coverage report --include 'unetsweep/core/*'

check: $(READY) ## Run the linters and the type checker, and check the layers of the packages
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/check_vocabulary.py

fix: $(READY) ## Fix what the linters can fix
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(READY) ## Build the documentation into build/site, and check its links
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo build/site/index.html

slurm-up: ## Start a SLURM cluster on this machine: eval "$(make -s slurm-up)" (VARIANT=dbd has sacct)
	@TESTBED_VARIANT=$(VARIANT) slurm/testbed/start

slurm-down: ## Stop the clusters that slurm-up started
	@slurm/testbed/stop

simulate: $(READY) ## Run 10,000 random histories of a sweep with faults, in memory, and search for planted errors
	$(BIN)/python -m tests.simulation 10000
	$(PYTEST) -m thorough tests/simulation

bench: $(READY) ## Run the benchmarks, and compare them with their budgets
	$(BIN)/python -m benchmarks

results-page: $(READY) ## Run SWEEP, and write its page in docs/results: table, learning curves, best and worst images
	$(BIN)/python -m benchmarks.published $(SWEEP) --executor $(EXECUTOR)

pictures: $(READY) ## Make the pictures of the documentation from a sweep on data/chase_db1; needs Chromium
	$(BIN)/python -m benchmarks.pictures

clean: ## Delete what can be built again; keeps results, data and clusters
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -path ./results -prune -o -path ./data -prune -o -name __pycache__ -type d -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

$(VENV)/.runtime: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV): up to 2.9 GB to download, some minutes in which nothing is printed"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	@touch $@

data/sample/groups.csv: | $(RUNTIME)
	@echo "drawing images for the first sweep"
	$(BIN)/unetsweep data sample data/sample
