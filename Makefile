# `make start`: install into .venv and run the reference project on the embedded
# simulator. `make test`: the same with the test extras: linters, types, import
# contracts, all tests; with PROOFS=full some of them take longer. Both work on a fresh
# machine with Python 3.11 or later.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

# Hundreds of processes that tests start would compile everything anew each.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: start test retest faults bench docs pictures clean

start: $(VENV)/.installed
	$(BIN)/pichannels start

test: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	@# Collecting beside it compiles the tests once, and not once in each process.
	$(BIN)/mypy & types=$$!; $(BIN)/pytest --collect-only -qq >/dev/null; wait $$types
	FAULTS_SECONDS= $(BIN)/pytest -n auto --dist loadfile

# What failed, once more and alone: what passes then held only on an idle machine, and
# what fails then is broken. Its names are in the output, since such a test needs mending.
retest: $(VENV)/.installed-test
	FAULTS_SECONDS= $(BIN)/pytest -v --last-failed --last-failed-no-failures none --maxfail 1

# Everything that can go wrong, for so many seconds; a seed repeats its choices.
FAULTS_SECONDS ?= 600
FAULTS_SEED := $(or $(FAULTS_SEED),$(shell od -An -N4 -tu4 /dev/urandom | tr -d ' '))

faults: $(VENV)/.installed-test
	@echo "FAULTS_SEED=$(FAULTS_SEED) FAULTS_SECONDS=$(FAULTS_SECONDS)"
	FAULTS_SEED=$(FAULTS_SEED) FAULTS_SECONDS=$(FAULTS_SECONDS) \
	  $(BIN)/pytest tests/faults -v

bench: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks

# Pages in .site/, which need no internet.
docs: $(VENV)/.installed-docs
	rm -f .site/.sources
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@# A test that needs the site takes this one, for as long as nothing has changed.
	$(BIN)/python -m tests.docs.sources .site

# The pictures of the pages in docs/ui.md, made by their tests.
pictures: $(VENV)/.installed-test
	PICHANNELS_PICTURES=docs/images/ui $(BIN)/pytest tests/ui/pages -k keeps_nobody_out --timeout 120

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "pichannels needs Python 3.11 or later; $(PYTHON) is older. Try: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is missing. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.installed-test: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build *.egg-info .pichannels .site
