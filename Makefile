# Every target builds its own virtual environment the first time and reuses it afterwards.

VENV ?= .venv

# The first Python that is new enough and can make virtual environments; `make PYTHON=...` overrides it.
USABLE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3 python3.12 python3.13 python3.11; do \
	$$python -c '$(USABLE)' >/dev/null 2>&1 && echo $$python && break; done)

# Further arguments, for example `make train FLAGS=--config.seed=1` or `make test FLAGS="-k bdf2"`.
FLAGS ?=

# Two processes, since compiling one jax program keeps one core busy; a file's tests stay together.
PYTEST = $(VENV)/bin/python -m pytest -n 2 --dist loadfile

.PHONY: train test test-all test-slow test-exhaustive test-notebooks test-wheel test-reproduction notebooks docs lint clean help
.DELETE_ON_ERROR:

help:  ## Lists the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /: /'

train: $(VENV)/.installed  ## Trains PODS to stop a swinging pendulum (about a minute); results in runs/.
	$(VENV)/bin/python scripts/train.py --config=configs/pods.py --workdir=runs/pendulum_2d_stop $(FLAGS)

test: $(VENV)/.installed-test  ## Runs the quick tests (about five minutes on two cores).
	$(PYTEST) -m "not slow and not exhaustive" $(FLAGS)

test-all: test-slow test-wheel test-notebooks docs test-reproduction  ## Runs everything else that a change has to pass.

test-slow: $(VENV)/.installed-test  ## Runs the slow tests, which take seconds each.
	$(PYTEST) -m "slow and not exhaustive" $(FLAGS)

test-exhaustive: $(VENV)/.installed-test  ## Runs the exhaustive tests, which take minutes each.
	$(PYTEST) -m exhaustive $(FLAGS)

test-reproduction: $(VENV)/.installed-test  ## Does the smallest reproduction of the paper: every algorithm trained and drawn.
	$(VENV)/bin/python scripts/reproduce.py --table=1 --figure=3,4,8,9,10 --scale=quick --workdir=build/reproduction

test-notebooks: $(VENV)/.installed-test $(VENV)/.installed-notebooks  ## Runs the notebooks at a small size.
	PODS_JAX_SMALL=1 JAX_COMPILATION_CACHE_DIR=$(CURDIR)/build/cache \
		$(VENV)/bin/python -m pytest -p no:xdist -p no:cacheprovider --override-ini addopts= --nbmake notebooks

notebooks: $(VENV)/.installed-notebooks  ## Makes the notebooks from their .py twins, without outputs.
	$(VENV)/bin/python -m jupytext --to ipynb notebooks/*.py

docs: $(VENV)/.installed-docs  ## Builds the documentation into build/site.
	mkdir -p build/docs && $(VENV)/bin/python -m mkdocs build --strict --quiet --config-file scripts/site/mkdocs.yml

test-wheel: $(VENV)/.installed  ## Builds the wheel, installs it without extras elsewhere and uses it.
	rm -rf build/wheel && $(VENV)/bin/python -m pip wheel --quiet --no-deps --wheel-dir build/wheel .
	$(VENV)/bin/python -m venv --clear build/wheel/venv
	build/wheel/venv/bin/python -m pip install --quiet --disable-pip-version-check build/wheel/*.whl
	build/wheel/venv/bin/python -P tests/wheel/check_wheel.py

lint: $(VENV)/.installed-dev  ## Checks style, formatting and types.
	$(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m ruff format --check .
	$(VENV)/bin/python -m mypy

clean:  ## Removes the virtual environment and caches; never runs/.
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache

# The stamp files are younger than pyproject.toml as long as the installed packages are up to date.
$(VENV)/.installed: pyproject.toml | $(VENV)/.created
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-%: pyproject.toml | $(VENV)/.created
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	@touch $@

$(VENV)/.created:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer with venv found: make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@
