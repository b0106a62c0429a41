# make report   everything, at scale quick, into reports/quick/      make report SCALE=smoke
# make test     the tests                                            make test ARGS="-k end_to_end"
# make bench    microseconds a network-step: plain loop, engine, JAX     make bench ARGS=tests/engine/test_company.py
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
USERS_PATH := $(PATH)
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Names of files are UTF-8, whatever the locale, and nobody draws into a notebook.
export PYTHONUTF8 := 1
export MPLBACKEND := agg

# Of what a user has set for pip and uv, only where packages come from, and how, is heard: nothing that would put them
# elsewhere, leave some out or add others. (A variable that is set here wins over their files of settings.)
HEARD := %INDEX %INDEX_URL UV_INDEX_% %FIND_LINKS %NO_INDEX %HOST %CERT %CERTS %TLS %PROXY %KEYRING_PROVIDER %CACHE_DIR \
	%LINK_MODE %OFFLINE %TIMEOUT %RETRIES %CONFIG_FILE %INSTALL_DIR %VERSION_CHECK
unexport $(filter-out $(HEARD),$(filter PIP_% UV_%,$(.VARIABLES))) PYTHONHOME PYTHONPATH
export PIP_USER := 0
export PIP_REQUIRE_VIRTUALENV := 0
# Start-up time: where the user has switched off writing bytecode, every start would compile all of torch.
export UV_COMPILE_BYTECODE := 1

# Installed once for each content of these files; touching them installs nothing.
digest = $(shell cat $(1) | cksum | tr ' ' '-')
STAMP := .venv/.installed-$(call digest,requirements.lock)
BENCH_STAMP := .venv/.bench-$(call digest,requirements.lock requirements-bench.lock)

# An environment serves one folder, machine and Python: its programs name them. What it was made for is written into it
# when it is whole; where that is missing (half-made) or says otherwise (copied, moved), it is made anew.
MADE_FOR = { pwd -P; uname -sm; readlink -f $(BIN)/python; } 2>/dev/null
WHOLE := $(shell test -x $(BIN)/python && test "$$(cat .venv/.made-for 2>/dev/null)" = "$$($(MADE_FOR))" && echo yes)

# What checks the report in a browser (axe-core, html-validate), where npm is there; the tests skip without, and say so.
CHECKS := tests/report/browser
BROWSER_CHECKS := test -d $(CHECKS)/node_modules || ! command -v npm >/dev/null || \
	npm ci --prefix $(CHECKS) --ignore-scripts --no-audit --no-fund --silent || echo "no checks of the report in a browser: npm ci failed"

.PHONY: report test bench lint format env lock new-environment

report: $(STAMP)
	snakemake --cores $(CORES) --logger claimcheck --config scale=$(SCALE)

test: $(STAMP)
	@$(BROWSER_CHECKS)
	python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

bench: $(BENCH_STAMP)
	python -m pytest tests/benchmarks -m bench -q -s $(ARGS)

lint: $(STAMP)
	ruff check
	ruff format --check
	snakefmt --check Snakefile workflow
	yamllint --strict studies workflow profiles tests
	! snakemake --lint 2>&1 | grep -E '^    \* |Error' | grep -v 'Specify a conda environment'

format: $(STAMP)
	ruff check --fix
	ruff format
	snakefmt Snakefile workflow

env: $(STAMP)

$(STAMP): $(if $(WHOLE),,new-environment)
	@rm -f .venv/.made-for
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > .venv/uv.lock
	python -m pip install --quiet --require-hashes --requirement .venv/uv.lock
	uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@rm -f .venv/.installed-* .venv/.bench-* && touch $@ && $(MADE_FOR) > .venv/.made-for

new-environment: export PATH := $(USERS_PATH)
new-environment:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("claimcheck needs Python 3.11 or newer, found " + sys.version.split()[0] + "; name another: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv --clear .venv

$(BENCH_STAMP): $(STAMP)
	uv pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements-bench.lock
	@touch $@

COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock"

lock: $(STAMP)
	$(COMPILE) pyproject.toml requirements.in --extra dev --no-emit-package claimcheck --output-file requirements.lock
	$(COMPILE) requirements-bench.in --constraint requirements.lock --output-file requirements-bench.lock
