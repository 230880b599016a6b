# Works with GNU make 3.81 and later; needs nothing but a Python 3.11 or later with its venv module.
# ARGS are handed on: make run ARGS="--port 9000", make test ARGS="tests/unit -x", make lock ARGS=--upgrade.
PYTHON ?= python3
UV ?= uv
BIN := .venv/bin

# One set-up a run of make, whatever is asked for, so that `make -j check test` does not make it twice.
NEEDS_TOOLS := $(filter check format test coverage sbom,$(MAKECMDGOALS))
EXTRA ?= $(if $(NEEDS_TOOLS),test,dev)
LOCK := $(UV) pip compile --no-config --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command "make lock" --quiet

.DEFAULT_GOAL := help
.PHONY: help run install test coverage check format lock sbom clean

help: ## show what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

run: install ## set up, then run everything: Redis, API, worker, provider sandbox, callback receiver
	@exec $(BIN)/otp-relay dev $(ARGS)

install: ## the set-up alone; quick when there is nothing to do
	@command -v $(PYTHON) >/dev/null || { echo "otp-relay needs Python 3.11 or later: apt install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) .ci/setup.py $(EXTRA)

test: install ## set up, then run every test
	@$(BIN)/pytest --numprocesses=3 --dist=loadfile $(ARGS)

coverage: install ## the tests again, and the lines and branches they left out
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

check: install ## format, lint, types, layers and locks, as CI runs them
	@failed=0; for each in "ruff format --check" "ruff check" mypy lint-imports "python .ci/check_locks.py"; do \
	  $(BIN)/$$each || failed=1; \
	done; exit $$failed

format: install ## format the code and mend what can be mended
	@$(BIN)/ruff check --fix-only
	@$(BIN)/ruff format

lock: ## make the lock files anew from pyproject.toml (needs uv)
	@command -v $(UV) >/dev/null || { echo "make lock needs uv: pip install uv" >&2; exit 1; }
	@$(LOCK) $(ARGS) pyproject.toml --extra test --output-file requirements/test.txt
	@$(LOCK) pyproject.toml --extra dev --constraints requirements/test.txt --output-file requirements/dev.txt
	@$(LOCK) pyproject.toml --constraints requirements/test.txt --output-file requirements/runtime.txt
	@$(LOCK) $(ARGS) --group build --constraints requirements/test.txt --output-file requirements/build.txt

sbom: install ## list what the image holds of Python, each with version and hashes: dist/sbom.cdx.json (CycloneDX)
	@mkdir -p dist
	@$(BIN)/cyclonedx-py requirements requirements/runtime.txt --pyproject pyproject.toml --output-reproducible \
	  --output-format JSON --output-file dist/sbom.cdx.json
	@echo "dist/sbom.cdx.json"

clean: ## remove the set-up and every cache; .data stays
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis reports dist
	@find app workers tests .ci -name __pycache__ -prune -exec rm -rf {} +
