# Needs Python 3.11 or newer and make; everything else is installed into .venv by the first call.
#   make demo                             make demo MODEL=california_housing
#   make test                             make test ARGS="-k spec -x"
#   make PYTHON=/path/to/python3.12 demo

MODEL ?= adult_income
BENCH ?= cold_start predict score served rollback validate memory
ARGS ?=
PYTHON ?=
export PYTHON

run := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup demo up down test lint terraform types format lock schema docs bench fuzz quality simulate-gate simulate-canary simulate-alarms simulate-loop scan specs bundles clean

help: ## show this
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1	/p' $(MAKEFILE_LIST) | expand -t 15

setup: ## make .venv (every other target does it when needed)
	@infra/venv/ensure

demo: ## the main job, start to end, explained (MODEL=adult_income or california_housing)
	@./millrace demo --model $(MODEL) $(ARGS)

up: ## keep the local stack in the foreground
	@./millrace up $(ARGS)

down: ## stop a local stack from another shell
	@./millrace down $(ARGS)

test: setup ## all tests on all cores with coverage (ARGS="-k spec -x" for some)
	@$(run) -m pytest -n auto --dist worksteal --cov --cov-report=term:skip-covered $(ARGS)

lint: setup ## ruff: rules and formatting; who imports whom; what is quickly checked of Terraform
	@$(run) -m ruff check .
	@$(run) -m ruff format --check .
	@$(run) -m pytest -q --no-header tests/bundles/test_imports.py tests/unit/test_layout.py
	@if command -v check-jsonschema >/dev/null; then \
		check-jsonschema -q --builtin-schema vendor.compose-spec infra/images/compose.yaml; fi
	@infra/terraform/check --quick

terraform: setup ## formatting, validity and tests of infra/terraform, offline (ARGS=--online with the providers)
	@infra/terraform/check $(ARGS)

format: setup ## let ruff rewrite what it can
	@$(run) -m ruff check --fix-only .
	@$(run) -m ruff format .

types: setup ## mypy, strict
	@$(run) -m mypy

bench: setup ## cold starts, the predictor beside its peers, drop to served, ... (BENCH=predict for one)
	@for name in $(BENCH); do $(run) tests/bench/$$name.py $(ARGS) || exit 1; done

fuzz: setup ## schemathesis against the predictor, 10,000 requests, minutes (ARGS="--cases 500")
	@$(run) tests/bench/fuzz.py $(ARGS)

quality: setup ## the shipped specs on real data, about half an hour (MILLRACE_DATA=folder; ARGS=adult_income)
	@$(run) tests/bench/quality.py $(ARGS)

simulate-gate: setup ## how often the promotion gate lets an equal model through (about 10 minutes)
	@$(run) tests/bench/simulate_gate.py $(ARGS)

simulate-canary: setup ## how canaries end with equal and with broken challengers (about 2 minutes)
	@$(run) tests/bench/simulate_canary.py $(ARGS)

simulate-alarms: setup ## how often monitoring cries wolf, how soon it sees what is wrong (minutes; ARGS="--years 5")
	@$(run) tests/bench/simulate_alarms.py $(ARGS)

simulate-loop: setup ## what the retrain loop does when data drifts, or not (about 3 minutes; MILLRACE_DATA=folder)
	@$(run) tests/bench/drift_loop.py $(ARGS)

scan: setup ## security scanners, licences, weak packages against infra/scan/baseline.yaml (ARGS=checkov)
	@$(run) -m infra.scan $(ARGS)

specs: setup ## every model spec in infra/specs, team/ included, as intake would take it
	@$(run) -m infra.delivery check-specs

bundles: setup ## import functions, build and start images: each in a .venv of its own lock
	@$(run) -m infra.bundle_check $(ARGS)

lock: setup ## resolve all requirements again (ARGS=--upgrade for newer versions)
	@$(run) infra/locks/lock.py $(ARGS)

docs: setup ## write infra/docs/reasons.md, access.md, alerts.md (with pictures) and the tables of cost.md
	@$(run) -m infra.docs.reasons
	@$(run) -m infra.docs.access
	@$(run) -m infra.docs.alerts
	@$(run) -m infra.docs.costs

schema: setup ## write the schemas of specs and of alerts from the code
	@$(run) -m shared.spec.schema
	@$(run) -m infra.docs.alert_schema

clean: ## remove .venv, caches and the local stacks' state
	@if [ -x .venv/bin/python ] && [ -d .millrace ]; then ./millrace down --quiet || true; fi
	rm -rf .venv .millrace .mypy_cache .ruff_cache .pytest_cache .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
