# Plimsoll. `make` alone lists the targets; `make demo` is the place to begin.
# Needs Python 3.10-3.12 and make; everything else comes from requirements.txt, hash-checked.

.DEFAULT_GOAL := help
SHELL := /bin/bash
MAKEFLAGS += --no-print-directory

# A Python to build .venv with; tried in this order, or say `make setup PYTHON=/path/to/python`.
PYTHON ?=
PYTHONS := python3.11 python3.12 python3.10 python3

# Ape finds the compiler with `which vyper`, so .venv/bin must come first in PATH.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# One harmless warning of pydantic-settings, printed at every start of Ape.
export PYTHONWARNINGS := ignore:Field 'import_remapping' has an incomplete definition
# The quicker of two of the same hash; Ape's own chain lives by it.
export ETH_HASH_BACKEND := pysha3

LOCAL := --network ethereum:local:test
READY := .venv/.ready
COMPILED := .build/.compiled
SOURCES := $(shell find contracts -name '*.vy' -o -name '*.vyi' 2>/dev/null)

# make test ARGS="-k liquidate"
ARGS ?=
# make fuzz OPS=10000000, make storm SEEDS=1000, make mutants SAMPLE=40
OPS ?= 200000
SEEDS ?= 200
SAMPLE ?=
# make sizes CHECK=1, make gas CHECK=1: fail on a budget or on a difference from the snapshot
CHECK ?=

.PHONY: help
help: ## this list
	@echo "Plimsoll: cross-margin perpetuals in Vyper."
	@echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F '|' '{printf "%-18s%s\n", $$1, $$2}'

# ------------------------------------------------------------------ set up

.PHONY: setup
setup: $(READY) ## .venv with the locked versions (again when requirements.txt changes)
	@echo ".venv is ready: $$(python --version)."

# Asks each candidate for the interpreter below it, as .venv itself may be in PATH and is removed here.
$(READY): requirements.txt
	@python=; for candidate in $(or $(PYTHON),$(PYTHONS)); do \
	  python=$$("$$candidate" -c 'import ensurepip, sys, venv; \
	    (3, 10) <= sys.version_info[:2] < (3, 13) and print(sys._base_executable)' 2>/dev/null); \
	  if [ -n "$$python" ]; then break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "Plimsoll needs Python 3.10, 3.11 or 3.12 with its venv module; tried: $(or $(PYTHON),$(PYTHONS))." >&2; \
	  echo "Install one (Debian, Ubuntu: python3.11 and python3.11-venv), or: make setup PYTHON=/path/to/python" >&2; \
	  exit 1; \
	fi; \
	echo "Creating .venv with $$("$$python" --version), locked versions (a minute or two) ..."; \
	rm -rf .venv && "$$python" -m venv .venv
	@.venv/bin/python -m pip install -qq --disable-pip-version-check --no-input --require-hashes -r requirements.txt
	@# Makes `import plimsoll` work from anywhere without a build.
	@echo "$(CURDIR)" > "$$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/plimsoll.pth"
	@touch $@

.PHONY: lock
lock: $(READY) ## write requirements.txt anew from requirements.in (needs the network)
	@python -m venv .cache/lock
	@.cache/lock/bin/python -m pip install -qq --disable-pip-version-check 'uv==0.13.*'
	@.cache/lock/bin/uv pip compile --quiet --system-certs --universal --python-version 3.10 --fork-strategy fewest \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --no-config \
	  --custom-compile-command "make lock" $(ARGS) requirements.in -o requirements.txt
	@echo "requirements.txt: $$(grep -c == requirements.txt) packages"

# ------------------------------------------------------------------ run

.PHONY: demo
demo: $(READY) $(COMPILED) ## the protocol's story on an in-process chain
	@ape run demo $(LOCAL) $(ARGS)

.PHONY: compile
compile: $(READY) ## compile every contract anew
	@mkdir -p .build && rm -f $(COMPILED)
	@ape compile --force --verbosity WARNING
	@touch $(COMPILED)
	@echo "Contracts compiled."

# Without --force Ape keeps an importer's old bytecode when only a module or interface changed.
$(COMPILED): $(READY) ape-config.yaml $(SOURCES)
	@$(MAKE) compile

# ------------------------------------------------------------------ check

.PHONY: test
test: compile ## all tests (ARGS="-k name" for some)
	@ape test tests -n 2 --dist loadfile -q --no-header $(LOCAL) $(ARGS)
	@# These move the clock of the chain that the others stand on.
	@PLIMSOLL_APE=1 PLIMSOLL_OPS=1000 ape test tests/differential -k apes_provider -q --no-header $(LOCAL)

.PHONY: fuzz
fuzz: $(READY) ## contracts against the model on all cores (OPS=10000000; goes on where it was)
	@python -m plimsoll.fuzz --ops $(OPS) $(ARGS)

.PHONY: storm
storm: $(READY) ## the worst day, drawn SEEDS times: what it costs, and what liquidations do
	@python -m plimsoll.fuzz.storm --seeds $(SEEDS) $(ARGS)

.PHONY: mutants
mutants: $(READY) ## break the contracts a line at a time, count what is noticed (SAMPLE=40 for some)
	@mkdir -p .cache && python -m plimsoll.fuzz.mutants $(if $(SAMPLE),--sample $(SAMPLE) --least 0.95,--kept .cache/mutants.jsonl) $(ARGS)

.PHONY: coverage
coverage: $(READY) ## lines and branches of the contracts that the fast lane reaches
	@python -m plimsoll.fuzz.coverage --least 99 $(ARGS)

.PHONY: prove
prove: $(READY) .cache/prove/.ready ## symbolic proofs with halmos (needs node, npm, Python 3.11)
	@python tests/proofs/run.py $(ARGS)

.cache/prove/.ready: tests/proofs/requirements.txt tests/proofs/package-lock.json
	@python tests/proofs/run.py --install
	@touch $@

.PHONY: undefended
undefended: $(READY) ## each attack again, its defence undone: it must work
	@PLIMSOLL_UNDEFENDED=1 ape test tests/attacks -n 2 -q --no-header $(LOCAL) $(ARGS)

.PHONY: gas
gas: $(READY) $(COMPILED) ## gas of each operation (CHECK=1 compares with the snapshot)
	@ape run gas $(if $(CHECK),--check) $(ARGS)

.PHONY: sizes
sizes: $(READY) $(COMPILED) ## bytes of each contract (CHECK=1 holds them to their budgets)
	@ape run sizes $(if $(CHECK),--check) $(ARGS)

.PHONY: access
access: $(READY) ## write docs/access.md: who may call what, by the contracts themselves
	@python -m plimsoll.access

.PHONY: lint
lint: $(READY) ## ruff, mypy, and the compiler's traps in the contracts
	@ruff check --quiet
	@ruff format --check --quiet || { echo "Not formatted: run make fmt" >&2; exit 1; }
	@mypy --no-error-summary plimsoll scripts
	@python scripts/lint_vyper.py

.PHONY: fmt
fmt: $(READY) ## format the Python code
	@ruff check --fix-only --quiet
	@ruff format --quiet

.PHONY: clean
clean: ## remove what was built (.venv stays)
	@rm -rf .build .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
