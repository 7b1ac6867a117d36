# Every command, each one line. Nothing has to be installed first: whatever needs packages sees to them itself.
.DEFAULT_GOAL := help
.PHONY: help dev services sam-local test check lint check-template check-security mutants sbom build build-python artifact verify-artifact deploy format lock migrate seed bench prove prove-short costs openapi install db-up create-tables db-reset stop-all clean
MAKEFLAGS += --no-print-directory
PYTHON ?= python3
export PYTHONPATH := $(CURDIR):$(CURDIR)/functions:$(CURDIR)/layers/common
RUN := .venv/bin/python -m
# Bytecode is of one version: Lambda's. pyenv runs another version than the current one only by its full name.
BUILD_PYTHON ?= $(shell for version in "" $$(pyenv latest 3.13 2>/dev/null); do \
	PYENV_VERSION=$$version python3.13 -c 'import sys; print(sys.executable)' 2>/dev/null && break; done)
MACHINE := $(shell uname -m)
ARTIFACT := $(CURDIR)/.aws-sam/artifact-$(subst aarch64,arm64,$(MACHINE))
TOOLS := $(RUN) uv run -q --no-project --isolated --with-requirements
SAM := SAM_CLI_TELEMETRY=0 UV=$(CURDIR)/.venv/bin/uv BUILD_PYTHON=$(BUILD_PYTHON) $(TOOLS) infra/requirements.txt sam
SEMGREP := SEMGREP_SEND_METRICS=off SEMGREP_ENABLE_VERSION_CHECK=0 $(TOOLS) infra/semgrep-requirements.txt semgrep
SECURITY := $(TOOLS) infra/security-requirements.txt
# Assignments to names like `password` are ruff's to find, where code is not a test; all else that looks like a secret is.
NO_SECRETS := --disable-plugin KeywordDetector --disable-plugin BasicAuthDetector --exclude-files '(requirements\.txt|\.svg|\.pem)$$'
LISTS := layers/common/requirements.txt dev/requirements.txt
COMPILE := $(RUN) uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

dev: install  ## Start everything on PORT (8000), with reload; Ctrl-C ends it
	@$(RUN) dev.stack

services: install  ## Start what functions lean on, where containers reach it; Ctrl-C ends it
	@$(RUN) dev.stack services

sam-local: install build-python  ## Run what is built in Docker's containers by AWS SAM, on PORT (3000)
	@$(RUN) dev.stack sam-local env $(SAM)

test: install  ## Run the tests; ARGS="-k tracks" picks some
	@$(RUN) pytest -q -n 2 --dist loadfile -m "not prove and not artifact" $(ARGS)

check: test lint check-template check-security  ## What CI runs

lint: install  ## Style, types, who may import whom, and whether what is imported is declared
	@$(RUN) ruff check . && $(RUN) ruff format --check . && $(RUN) mypy && .venv/bin/lint-imports --no-cache && .venv/bin/deptry .

check-template: install  ## Check what AWS will be told, with tools in environments of their own
	@$(TOOLS) infra/requirements.txt cfn-lint infra/template.yaml
	@AWS_DEFAULT_REGION=us-east-1 $(SAM) validate --lint -t infra/template.yaml
	@$(TOOLS) infra/requirements.txt python infra/checks/rehearse.py infra/template.yaml
	@$(TOOLS) infra/checkov-requirements.txt checkov --config-file infra/checkov.yaml -f infra/template.yaml

# Every check here works without a network. pip-audit is not among them: where the lists of vulnerabilities are out
# of reach it finds none, and says so with success. With --strict it fails honestly, for a machine that reaches them.
check-security: install  ## Look for what linters do not: our own rules, secrets, what migrations lock
	@$(SEMGREP) test --config infra/semgrep/rules.yaml infra/semgrep/rules.py
	@$(SEMGREP) scan --quiet --error --exclude rules.py --config infra/semgrep/rules.yaml functions layers dev infra
	@git ls-files -z | xargs -0 $(SECURITY) detect-secrets-hook $(NO_SECRETS)
	@$(RUN) dev.database sql > .local/migrations.sql 2>/dev/null && $(SECURITY) squawk --config infra/squawk.toml .local/migrations.sql
	@$(SECURITY) openapi-spec-validator docs/openapi.json

mutants: install  ## Change the guards a little, in a copy, and see that some test notices; ARGS=egress picks one
	@$(RUN) uv run -q --no-project --isolated $(addprefix --with-requirements ,$(LISTS)) --with-requirements dev/mutants-requirements.txt python -m dev.mutants $(ARGS)

sbom: install  ## Say what is deployed, in CycloneDX's format
	@$(SECURITY) cyclonedx-py requirements --output-reproducible layers/common/requirements.txt

build: install build-python  ## Build what is deployed, into .aws-sam/build, and say how large it is
	@$(SAM) build -t infra/template.yaml

deploy:  ## Deploy what was built; the first time ARGS=--guided asks for everything
	@$(SAM) deploy --template-file .aws-sam/build/template.yaml --config-file $(CURDIR)/infra/samconfig.toml $(ARGS)

artifact: install build-python  # What is deployed, but for this machine, with what Lambda adds to it
	@test ! -e $(ARTIFACT) || chmod -R u+w $(ARTIFACT)
	@rm -rf $(ARTIFACT) && mkdir -p $(ARTIFACT)/task
	@UV=$(CURDIR)/.venv/bin/uv $(BUILD_PYTHON) layers/common/build.py $(ARTIFACT)/layer/python $(subst aarch64,arm64,$(MACHINE))
	@$(MAKE) -s -C functions build-all ARTIFACTS_DIR=$(ARTIFACT)/task BUILD_PYTHON=$(BUILD_PYTHON)
	@$(RUN) uv pip install -q --python $(BUILD_PYTHON) --target $(ARTIFACT)/runtime --require-hashes -r infra/runtime-requirements.txt
	@$(TOOLS) infra/requirements.txt python infra/checks/take_emulator.py $(ARTIFACT)/aws-lambda-rie
	@chmod -R a-w $(ARTIFACT)/task $(ARTIFACT)/layer

verify-artifact: artifact  ## Run what is deployed under AWS's own runtime client: a learner's whole path
	@BUILD_PYTHON=$(BUILD_PYTHON) $(RUN) pytest -q -s -m artifact $(ARGS)

build-python:
	@test -n "$(BUILD_PYTHON)" || { echo "Python 3.13 is missing, and Lambda's code has to be compiled by it: install it, or name it, as in BUILD_PYTHON=/opt/python3.13/bin/python3." >&2; exit 1; }

format: install  ## Mend what ruff can mend
	@$(RUN) ruff check --fix . ; $(RUN) ruff format .

install:  ## Make .venv with all packages, if it is not there or out of date
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: install Python 3.11 or newer, or name it, as in PYTHON=/opt/python3.13 make dev." >&2; exit 1; }
	@$(PYTHON) dev/bootstrap.py

lock: install  ## Pin the packages of pyproject.toml; ARGS=--upgrade takes newer ones
	@$(COMPILE) $(ARGS) pyproject.toml -o layers/common/requirements.txt
	@$(COMPILE) $(ARGS) -c layers/common/requirements.txt --group dev -o dev/requirements.txt
	@echo uv | $(COMPILE) $(ARGS) - -o dev/bootstrap-requirements.txt
	@printf '%s\n' cfn-lint aws-sam-cli 'moto[apigatewayv2,awslambda,cloudformation,dynamodb,sqs]' | $(COMPILE) $(ARGS) - -o infra/requirements.txt
	@printf '%s\n' awslambdaric boto3 | $(COMPILE) $(ARGS) - -o infra/runtime-requirements.txt
	@printf '%s\n' matplotlib pyyaml | $(COMPILE) $(ARGS) - -o infra/costs-requirements.txt
	@echo checkov | $(COMPILE) $(ARGS) - -o infra/checkov-requirements.txt
	@printf '%s\n' cyclonedx-bom detect-secrets openapi-spec-validator squawk-cli | $(COMPILE) $(ARGS) - -o infra/security-requirements.txt
	@echo semgrep | $(COMPILE) $(ARGS) - -o infra/semgrep-requirements.txt
	@echo mutmut | $(COMPILE) $(ARGS) $(addprefix -c ,$(LISTS)) - -o dev/mutants-requirements.txt

migrate: install  ## Bring the database's schema up to date
	@$(RUN) dev.database migrate

create-tables: migrate  ## The same, by its old name

seed: install  ## Add a demo account with a planned course to a running stack
	@$(RUN) dev.seed

db-up: install  ## Start Postgres alone, in the background, and print its URL
	@$(RUN) dev.database up

db-reset: install  ## Drop all local data, after asking (CONFIRM=yes does not ask)
	@$(RUN) dev.database reset

stop-all: install  ## Stop whatever of this checkout was left running
	@$(RUN) dev.stop

openapi: install  ## Write the API's description to docs/openapi.json
	@$(RUN) dev.openapi docs/openapi.json

costs: install  ## Work out what it costs, and write that into docs/costs.md
	@$(TOOLS) infra/costs-requirements.txt python infra/costs.py

bench: artifact  ## Measure; ARGS=cold picks one
	@BUILD_PYTHON=$(BUILD_PYTHON) $(RUN) dev.bench $(ARGS)

prove: install  ## The tests that need minutes; ARGS="-k F3" picks some
	@$(RUN) pytest -q -m prove $(ARGS)

prove-short: install  ## The same with counts that CI has time for
	@PROVE=short $(RUN) pytest -q -n 2 -m prove $(ARGS)

clean:  ## Remove what can be made again; the data in .local/ stays
	@test ! -e .aws-sam || chmod -R u+w .aws-sam
	@rm -rf .venv .aws-sam .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .schemathesis
