.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help setup demo test check fmt bench chaos gpu picture docs wheels realdata clean

PYTHON ?= python3
BIN := .venv/bin
# torch, pyarrow and prefect come as constraints.txt pins them; pip first, older ones resolve worse
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

help: ## list these targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.venv/pip: 
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip --disable-pip-version-check install --quiet --upgrade pip
	@touch $@

.venv/runtime: .venv/pip pyproject.toml constraints.txt
	@echo "installing webtext into .venv; the first time takes a few minutes" >&2
	$(PIP) --editable .
	@touch $@

.venv/dev: .venv/runtime
	$(PIP) --group dev
	@touch $@

setup: .venv/runtime ## install webtext into .venv, as demo and test do by themselves

demo: .venv/runtime ## the whole way on a small web of this machine's own, in under 5 minutes
	$(BIN)/webtext demo

test: .venv/dev ## run the tests, in under 12 minutes on 2 cores
	$(BIN)/python -m pytest -m "not slow" -n auto --dist loadfile

# The package as it is installed, in links: mypy and the import linter know of no package-dir.
.types/webtext: Makefile
	@rm -rf $@ && mkdir -p $@
	@ln -s ../../webtext/__init__.py ../../webtext/__main__.py ../../webtext/py.typed $@
	@ln -s ../../pipeline ../../model ../../flows $@
	@touch $@

check: .venv/dev .types/webtext ## lint, types, and which room may import which
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	cd .types && ../$(BIN)/lint-imports --no-cache --config ../pyproject.toml

fmt: .venv/dev ## put the code in its usual form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: .venv/dev ## ratios against the tools that one would take instead
	$(BIN)/python -m tests.bench

chaos: .venv/dev ## change every file of a build in every way, and kill its processes: what is lost?
	$(BIN)/python -m tests.chaos

gpu: .types/webtext ## is training right and fast on this GPU? Needs python3 with torch 2.11 or newer, nothing else
	PYTHONPATH=.types $(PYTHON) -m tests.gpu

picture: ## draw the rooms in ARCHITECTURE.md anew, from the imports
	$(PYTHON) -m tests.picture

docs: .venv/dev ## the documentation, as pages in build/docs
	$(BIN)/python -m sphinx -W --keep-going -q docs build/docs
	@echo build/docs/index.html

wheels: .venv/runtime ## the wheels webtext and webtext-light, in build/wheels
	$(BIN)/python -m tests.wheels build/wheels

realdata: .venv/dev ## the whole way on real sites, where ../shared/data holds them; and the slow tests
	$(BIN)/python -m tests.realdata
	$(BIN)/python -m pytest -m slow

clean: ## remove what the targets above made; never your data/ or runs/
	rm -rf .venv .bench-venv .types build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis demo
