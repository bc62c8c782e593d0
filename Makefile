# make demo: set up and run the main job. make test: set up and run all tests. make check: what CI runs besides the tests.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test check wheel readme readme-check mini clean

$(VENV)/core: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/test: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0 'transformers>=5.0' 'protobuf>=5'
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $(VENV)/core $@

demo: $(VENV)/core
	$(BIN)/dsbuild translate --src msmarco-sample --langs hi,mr,ta --engine mini --out outputs/demo
	$(BIN)/dsbuild status outputs/demo

# Two processes take about half the time on two cores. The tests of a file stay together, for what they share.
test: $(VENV)/test
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Build the wheel, install it alone in a new environment outside the checkout, and use it.
wheel: $(VENV)/core
	rm -rf build dist
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps -w dist .
	$(BIN)/python .ci/wheel.py dist/*.whl

readme-check: $(VENV)/core
	$(BIN)/python docs/readme.py --check

mini: $(VENV)/test
	$(BIN)/python -m dsbuild.translate.mini.train

readme: $(VENV)/core
	$(BIN)/python docs/readme.py --write

clean:
	rm -rf $(VENV) build dist *.egg-info
