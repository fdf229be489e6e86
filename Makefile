# make demo: the main job on the bundled input. make test: the whole suite. Both set up .venv first.
# make evidence: what the documentation claims, tested at a small budget, into build/evidence.
# make tutorials: the tutorials that need real genomes.
# make docs: the documentation, into build/docs. make wheel: build the wheel and try it in an empty environment.
# make sdist: the source distribution of the last commit, into dist, and its checksum into the conda recipe.

PYTHON ?= python3
CORES ?= 2
PYTEST_ARGS ?=
SNAKEMAKE_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check
RESULTS := results/demo

export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo test test-slurm evidence tutorials lint docs wheel sdist install clean distclean
.DEFAULT_GOAL := demo
.DELETE_ON_ERROR:

install: $(STAMP)

# torch comes first and alone: it is by far the largest, and everything else then resolves around it.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("titans-dna needs Python 3.11 or newer: try PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing torch into $(VENV), then everything else: a few minutes, this once."
	$(PIP) install --quiet -c constraints.txt torch
	$(PIP) install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/python benchmarks/demo.py --say
	$(BIN)/snakemake --cores $(CORES) $(SNAKEMAKE_ARGS)
	@echo
	@echo "The results are in $(CURDIR)/$(RESULTS):"
	@ls -1 $(RESULTS)
	@echo "Open $(RESULTS)/report.html in a browser first."

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow" $(PYTEST_ARGS)

# The workflow on a Slurm of one node: a job is killed, and the results are those of a local run.
test-slurm: $(STAMP)
	$(BIN)/python -m pytest -n 0 -m slow -rs tests/pipelines/test_slurm.py

evidence: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/evidence/run.py --budget small

# The tutorials on real genomes, where these are beside the project; all others are run by the tests.
tutorials: $(STAMP)
	test ! -d ../shared/data || $(BIN)/python docs/commands.py --real docs/pages/tutorials/relatives.md docs/pages/tutorials/copies.md

docs: $(VENV)/.docs-installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --clean --config-file docs/mkdocs.yml
	@echo "The documentation is in $(CURDIR)/build/docs: open index.html."

$(VENV)/.docs-installed: $(STAMP)
	$(PIP) install --quiet -c constraints.txt -e '.[docs]'
	@touch $@

# The environment holds nothing but what the wheel asks for, and the demo runs outside the checkout.
wheel:
	rm -rf build/lib build/wheel
	$(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/python -m pip wheel --disable-pip-version-check --quiet --no-deps --wheel-dir build/wheel .
	recipe/install.sh build/wheel/venv/bin/python "$$(echo build/wheel/*.whl)"
	recipe/try.sh build/wheel/venv data

sdist: $(STAMP)
	$(BIN)/python recipe/sdist.py
	$(BIN)/python recipe/lint.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile pipelines/rules
	$(BIN)/snakemake --lint
	$(BIN)/python recipe/lint.py

clean:
	rm -rf results .snakemake build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

distclean: clean
	rm -rf $(VENV)
