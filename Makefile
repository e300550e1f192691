# Two commands matter: `make demo` and `make test`. Both install what they need into .venv.
PYTHON ?= python3
BIN := .venv/bin
RESULTS := .bench
HEADWATER := $(BIN)/headwater

.PHONY: demo ui test nightly lint types docs bench growth clean help

help:  ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: .venv/ready  ## from the installed packages' files to an evaluated language model, then a summary
	@$(HEADWATER) materialize installed_packages_lm --summary

ui: .venv/ready  ## the Dagster UI on http://localhost:3000
	@$(HEADWATER) ui

test: .venv/ready  ## the fast suite
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow and not packages"

nightly: .venv/ready  ## everything, slow tests and benchmarks included
	@$(BIN)/python -m pytest --ignore tests/end_to_end/test_cluster_faults.py
	@$(BIN)/python -m pytest tests/end_to_end/test_cluster_faults.py  # alone: Ray decides once in a process about tokens
	@$(MAKE) --no-print-directory bench QUICK=1
	@$(MAKE) --no-print-directory growth

lint: .venv/ready  ## ruff
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: .venv/ready  ## mypy
	@$(BIN)/mypy

docs: .venv/ready  ## write the generated reference again
	@$(HEADWATER) options --write docs/reference/options.md
	@$(HEADWATER) reproductions --write docs/reproductions.md

bench: .venv/bench  ## every step of the data path beside its peers, as docs/performance.md (QUICK=1: a tenth, not written)
	@rm -rf $(RESULTS); failed=; page="$(if $(QUICK),--quick,--write docs/performance.md)"; \
	for file in $$(grep -l Headline benchmarks/bench_*.py); do \
	  echo "== $$file"; $(BIN)/python $$file --results $(RESULTS) $$page || failed="$$failed $$file"; done; \
	$(BIN)/python benchmarks/summary.py $(RESULTS) $(if $(QUICK),,--write docs/performance.md); \
	test -z "$$failed" || { echo "These failed:$$failed"; exit 1; }

growth: .venv/ready  ## what loading, training steps, refreshes and traces cost, the latter two as a corpus grows
	@for name in bench_loading bench_trainer bench_incremental_deduplication refresh lineage; do \
	  echo "== benchmarks/$$name.py"; $(BIN)/python benchmarks/$$name.py || exit 1; done

clean:  ## forget the environment, the store and Dagster's history
	rm -rf .venv .bench store .dagster .env

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Headwater needs Python 3.11 or newer; $(PYTHON) is older. Say: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Installing into .venv (once; a minute or two and the download of PyTorch) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@$(HEADWATER) validate
	@touch $@

.venv/bench: .venv/ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	@touch $@
