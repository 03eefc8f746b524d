# A fresh checkout needs Python 3.11 or 3.12 with venv, gcc and make: every target prepares .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || echo python3)
BIN := .venv/bin
QUIET := TF_CPP_MIN_LOG_LEVEL=3 # TensorFlow looks for a GPU, aloud

.PHONY: setup demo test figures lint clean

setup: .venv/stamp
.venv/stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	touch $@

# HAPT: train, prune, convert and run in TensorFlow Lite for Microcontrollers; a table, a picture.
demo: setup
	$(QUIET) $(BIN)/python examples/activity_recognition.py

test: setup
	$(BIN)/pytest -n 2

# The figures of README.md, over three seeds, into benchmarks/results/.
figures: setup
	$(QUIET) PYTHONPATH=examples $(BIN)/python benchmarks/backbone.py

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	find micro tests -name '*.[ch]' -o -name '*.cc' | xargs $(BIN)/clang-format --dry-run -Werror

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
