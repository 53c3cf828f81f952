# Two commands set everything up: `make demo` and `make test`. Both need only Python >= 3.11 and make.
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
BIN := $(VENV)/bin
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MPLBACKEND := Agg

.PHONY: demo test docs test-package lint test-core test-train test-kernels test-slow clean
demo: $(VENV)/.core
	$(BIN)/python examples/demo.py

test: lint test-core test-train docs test-package

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Everything outside training/ and integrations/ is tested with torch hidden.
test-core: $(VENV)/.test
	SCALEFIT_HIDE_TORCH=1 $(BIN)/python -m pytest -n 2 tests scalefit --doctest-modules --ignore tests/training --ignore tests/integrations --ignore tests/collecting --ignore scalefit/training --ignore scalefit/integrations -m "not slow and not gpu"

test-train: $(VENV)/.train
	@if ls tests/training/test_*.py tests/integrations/test_*.py >/dev/null 2>&1; then \
	  $(BIN)/python -m pytest -n 2 $$(ls -d tests/training tests/integrations tests/collecting 2>/dev/null) -m "not slow and not gpu"; fi

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict -q

test-package: $(VENV)/.test
	$(BIN)/python tests/packaging/check_package.py

# The numeric core under the linear-algebra kernels of other processors: same answers, same verdicts.
test-kernels: $(VENV)/.test
	$(BIN)/python tests/kernels/run.py $(KERNELS)

test-slow: $(VENV)/.train
	$(BIN)/python -m pytest tests -m slow

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
$(VENV)/.core: pyproject.toml $(CONSTRAINTS) | $(VENV)/bin/python
	$(BIN)/pip install -q -c $(CONSTRAINTS) -e .
	@touch $@
$(VENV)/.test: pyproject.toml $(CONSTRAINTS) | $(VENV)/bin/python
	$(BIN)/pip install -q -c $(CONSTRAINTS) -e '.[test]'
	@touch $@ $(VENV)/.core
$(VENV)/.train: pyproject.toml $(CONSTRAINTS) | $(VENV)/.test
	$(BIN)/pip install -q -c $(CONSTRAINTS) torch
	$(BIN)/pip install -q -c $(CONSTRAINTS) -e '.[test,train,cluster,integrations]'
	@touch $@
$(VENV)/.docs: pyproject.toml $(CONSTRAINTS) | $(VENV)/.test
	$(BIN)/pip install -q -c $(CONSTRAINTS) -e '.[test,docs]'
	@touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
