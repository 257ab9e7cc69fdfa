# Everything that a person or a CI job does with this checkout. Plain `make` lists the targets.
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
FLASK := $(BIN)/flask --app wsgi
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes
FIND_BROWSER := for name in chromium chromium-browser google-chrome google-chrome-stable; do command -v $$name && break; done
CAN_APT := [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null

.DEFAULT_GOAL := help
.PHONY: help run test check bench prove lock clean browser

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/run.stamp ## start everything on http://127.0.0.1:8000 until Ctrl-C (PORT and SPA_DATA_DIR move it)
	@exec $(FLASK) up --stop-with-parent

test: .venv/dev.stamp browser ## run every test
	@browser=$$($(FIND_BROWSER)); \
	if [ -n "$$browser" ]; then \
		CHROMIUM=$$browser exec $(BIN)/pytest -n 3 -m "not prove"; \
	elif [ -n "$$REQUIRE_BROWSER" ]; then \
		echo "No Chromium or Chrome was found, and the browser tests are required here: install the package chromium." >&2; \
		exit 1; \
	fi; \
	$(BIN)/pytest -n 3 -m "not prove and not browser"; status=$$?; \
	count=$$($(BIN)/pytest --collect-only -q -m "browser and not prove" 2>/dev/null | grep -c '::'); \
	echo "$$count browser tests were left out, because no Chromium or Chrome was found:"; \
	echo "install Debian's package chromium (apt-get install chromium) and run make test again."; \
	exit $$status

check: .venv/dev.stamp ## everything that a change must pass: format, types, layers, templates, schema, tests (translations among them)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	[ ! -d templates ] || $(BIN)/djlint --quiet --lint templates
	@# A folder that `nobody` may pass through, because root runs PostgreSQL as nobody.
	@folder=$$(mktemp -d) && chmod 711 $$folder && trap 'rm -rf $$folder' EXIT && \
	unset DATABASE_URL && export SPA_DATA_DIR=$$folder && \
	echo "flask db upgrade && flask db check" && $(FLASK) db upgrade && $(FLASK) db check
	@$(MAKE) --no-print-directory test

bench: .venv/dev.stamp ## print the speed tables, each against a floor measured in the same run
	@exec $(BIN)/python -m tests.bench

prove: .venv/dev.stamp browser ## run the long proofs
	@CHROMIUM=$$($(FIND_BROWSER)) exec $(BIN)/pytest -m prove

lock: .venv/dev.stamp ## write both lock files anew from pyproject.toml
	@$(BIN)/uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install -qq --disable-pip-version-check uv
	$(BIN)/uv pip compile pyproject.toml --quiet --universal --generate-hashes --no-emit-index-url --no-annotate \
		-o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --group dev --quiet --universal --generate-hashes --no-emit-index-url --no-annotate \
		-o requirements-dev.lock

clean: ## remove what was made here, but not the data (.data)
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/run.stamp: requirements.lock | .venv/bin/python
	@echo "Installing the locked packages into .venv (about half a minute)..."
	@$(PIP) -r requirements.lock
	@touch $@

.venv/dev.stamp: requirements-dev.lock | .venv/bin/python
	@echo "Installing the locked packages for development into .venv (about a minute)..."
	@$(PIP) -r requirements-dev.lock
	@touch .venv/run.stamp $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || { \
		echo "spa_app needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is $$($(PYTHON) --version 2>&1 || true); name another with make PYTHON=python3.12." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments: install the package python3-venv (apt-get install python3-venv)." >&2; exit 1; }
	@# Under another name first would break its scripts: one that was cut short is removed instead.
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

browser:
	@if [ -z "$$($(FIND_BROWSER))" ] && $(CAN_APT); then \
		echo "Installing Debian's Chromium for the browser tests (about half a minute)..."; \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } \
			>/dev/null 2>&1 || true; \
	fi
