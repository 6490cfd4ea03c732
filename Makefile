# Needs make and python3 (3.11 or newer); everything else is put into .venv.
PYTHON ?= python3
# More arguments: make test ARGS="tests/portal -k body", make bench ARGS="--only index --quick"
ARGS ?=

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help run demo compose test lint format bench lock vendor messages pictures clean set-up set-up-test

help: ## say what can be made
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile

run: set-up ## set everything up and serve on http://127.0.0.1:8080
	@exec .venv/bin/condarium serve

demo: set-up ## fill the data folder with an organization, channels and packages to look at
	@exec .venv/bin/condarium demo

compose: ## start all parts as containers; URL=https://… for a host that others reach
	@deploy/make-env $(URL)
	@docker compose up --build --detach --wait

# Each worker and each server would else compile anew what none of them writes down.
test: set-up-test ## run all tests, in parallel and in random order
	@unset PYTHONDONTWRITEBYTECODE; exec .venv/bin/pytest -n auto --dist worksteal $(ARGS)

lint: set-up-test ## check style, types, imports, templates, migrations and settings
	@mkdir -p build
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports
	.venv/bin/mypy
	.venv/bin/djlint --lint --quiet templates
	CONDARIUM_DATA=build .venv/bin/condarium makemigrations --check --dry-run
	CONDARIUM_DATA=build CONDARIUM_MODE=production CONDARIUM_URL=https://conda.example.org \
	CONDARIUM_TRUSTED_PROXIES=1 \
	CONDARIUM_SECRET_KEY="$$($(PYTHON) -c 'import secrets; print(secrets.token_urlsafe(50))')" \
	.venv/bin/condarium check --deploy --fail-level WARNING

format: set-up-test ## put the code into its form
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: set-up-test ## measure what the README's figures come from
	@exec .venv/bin/python -m benchmarks $(ARGS)

LOCK := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate
lock: set-up-test ## pin the dependencies anew
	$(LOCK) requirements.in -o requirements.lock
	$(LOCK) -c requirements.lock requirements-test.in -o requirements-test.lock
	$(LOCK) requirements-clients.in -o requirements-clients.lock

vendor: ## fetch the scripts that pages use anew, as static/vendor/vendor.json lists them
	@$(PYTHON) portal/vendor.py

# Only maintainers need gettext: what it makes is in the tree.
messages: set-up-test ## collect the words of pages for translators, and compile what they wrote
	@mkdir -p build
	@CONDARIUM_DATA=build .venv/bin/condarium makemessages --all --no-location --no-obsolete \
		--ignore .venv --ignore .venv-clients --ignore build --ignore tests --ignore benchmarks
	@.venv/bin/python -m portal.catalogues

pictures: set-up-test ## make the pictures that the documents show anew, on a real walk
	@CONDARIUM_PICTURES=docs/pictures exec .venv/bin/pytest -q -n0 tests/browser/test_the_walk.py

clean: ## remove what was made, but never the data folder
	rm -rf .venv .venv-clients build *.egg-info .coverage .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

set-up:
	@$(PYTHON) portal/bootstrap.py

set-up-test:
	@$(PYTHON) portal/bootstrap.py --test
