# Each target sets up all it needs: an environment in .venv from constraints.txt, and the services the tests start.

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench soak e2e services crds constraints image clean

# The first Python on this machine that is new enough and whole.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
PIP := $(BIN)/python -m pip --disable-pip-version-check
WORKERS ?= 2
SOAK_S ?= 1800

# Tests start hundreds of processes, and each would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE
# Kept beside what services are built of: a new checkout is then checked in seconds.
export MYPY_CACHE_DIR ?= $(or $(PENSTOCK_CACHE),$(HOME)/.cache/penstock)/mypy

help:
	@echo 'make demo    run a manifest, change it, kill its processes, compare every count'
	@echo 'make test    lint, and all tests; builds the services they need, once'
	@echo 'make lint    ruff, mypy, import-linter'
	@echo 'make bench   ratios against peers, measured in one run; ONLY=name for one of them'
	@echo 'make soak    the fault and chaos tests at length; SOAK_S=seconds for each'
	@echo 'make e2e     tests/cluster on the cluster in KUBECONFIG, or on one that kind makes'

demo: $(INSTALLED)
	$(BIN)/python examples/demo.py

# What a Kubernetes node is made of takes long to build, once: meanwhile everything else is tested. What the linters say
# comes last, for they and the tests wait for different things.
test: $(INSTALLED)
	@mkdir -p build
	@nice -n 19 $(BIN)/python -m penstock.testing.kubernetes build >build/kubernetes.log 2>&1 &
	$(BIN)/python -m penstock.testing.services
	@$(MAKE) --no-print-directory lint >build/lint.log 2>&1 & lint=$$!; failed=0; \
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup --no-loadscope-reorder tests $(ARGS) || failed=1; \
	wait $$lint || failed=1; cat build/lint.log; exit $$failed

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=engine:operator $(BIN)/lint-imports

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED)
	$(BIN)/python -m tests.benchmarks.run $(if $(ONLY),--only $(ONLY))

soak: services
	$(BIN)/python -m pytest -q -n $(WORKERS) -m soak --soak-s $(SOAK_S) --timeout 0 tests $(ARGS)

e2e: $(INSTALLED)
	$(BIN)/python -m pytest -q tests/cluster --elsewhere $(ARGS)

services: $(INSTALLED)
	$(BIN)/python -m penstock.testing.services
	$(BIN)/python -m penstock.testing.kubernetes build

# What is made of the definitions: tests compare.
crds: $(INSTALLED)
	cp crds/*.yaml charts/penstock-operator/files/crds/
	cp crds/*.yaml operator/penstock_operator/definitions/
	PYTHONPATH=operator $(BIN)/python tests/contract/documents/write.py

COMPILE = $(BIN)/pip-compile -q --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url \
	--no-emit-find-links --no-emit-trusted-host --no-header --no-annotate -o - --extra operator --extra kafka
constraints: $(INSTALLED)
	@{ head -1 constraints.txt; $(COMPILE) --extra dev pyproject.toml; } > constraints.new
	mv constraints.new constraints.txt
	@{ head -1 constraints-image.txt; $(COMPILE) -c constraints.txt pyproject.toml; } > constraints.new
	mv constraints.new constraints-image.txt

image:
	docker build -t penstock .

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# The stamp is written last, so an installation that was interrupted is taken up again.
$(INSTALLED): constraints.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo 'Penstock needs Python 3.11 or later with venv; name one: make PYTHON=...' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q --require-hashes --only-binary :all: -r constraints.txt
	$(PIP) install -q --no-deps --no-build-isolation -e .
	@touch $@
