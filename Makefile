# make report   everything, at scale quick, into reports/quick/      make report SCALE=smoke
# make test     the tests                                            make test ARGS="-k end_to_end"
# make bench    speed beside a plain loop and JAX; same bits of every kind of network, compiled
# make lint     style of the code and of the workflow
# make format   the style, put right
# make env      the environment alone; each of the above makes it first where it is missing or stale
# make lock     resolve requirements.lock anew

PYTHON ?= python3
SCALE ?= quick
CORES ?= all
# One process a core; the work of a process is one thread.
WORKERS ?= logical
ARGS ?=

BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Start-up time: where the user has switched off writing bytecode, every start would compile all of torch.
export UV_COMPILE_BYTECODE := 1

# Installed once for each content of these files; touching them installs nothing.
digest = $(shell cat $(1) | cksum | tr ' ' '-')
STAMP := .venv/.installed-$(call digest,requirements.lock)
BENCH_STAMP := .venv/.bench-$(call digest,requirements.lock requirements-bench.lock)

# What checks the report in a browser (axe-core, html-validate), where npm is there; the tests skip without, and say so.
CHECKS := tests/report/browser
BROWSER_CHECKS := test -d $(CHECKS)/node_modules || ! command -v npm >/dev/null || \
	npm ci --prefix $(CHECKS) --ignore-scripts --no-audit --no-fund --silent || echo "no checks of the report in a browser: npm ci failed"

.PHONY: report test bench lint format env lock

report: $(STAMP)
	snakemake --cores $(CORES) --config scale=$(SCALE)

test: $(STAMP)
	@$(BROWSER_CHECKS)
	python -m pytest --numprocesses $(WORKERS) --dist loadfile $(ARGS)

bench: $(BENCH_STAMP)
	python -m pytest tests/benchmarks tests/engine/test_company.py -m bench -s $(ARGS)

lint: $(STAMP)
	ruff check
	ruff format --check
	snakefmt --check Snakefile workflow
	yamllint --strict studies workflow tests
	! snakemake --lint 2>&1 | grep -E '^    \* |Error' | grep -v 'Specify a conda environment'

format: $(STAMP)
	ruff check --fix
	ruff format
	snakefmt Snakefile workflow

env: $(STAMP)

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("claimcheck needs Python 3.11 or newer, found " + sys.version.split()[0] + "; name another: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > .venv/uv.lock
	python -m pip install --quiet --require-hashes --requirement .venv/uv.lock
	uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@rm -f .venv/.installed-* .venv/.bench-* && touch $@

$(BENCH_STAMP): $(STAMP)
	uv pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements-bench.lock
	@touch $@

COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock"

lock: $(STAMP)
	$(COMPILE) pyproject.toml requirements.in --extra dev --no-emit-package claimcheck --output-file requirements.lock
	$(COMPILE) requirements-bench.in --constraint requirements.lock --output-file requirements-bench.lock
