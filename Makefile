# A fresh checkout needs Python 3.11 or 3.12 with venv, gcc and make: every target prepares .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || echo python3)
BIN := .venv/bin
LEGACY := TF_USE_LEGACY_KERAS=1 # the layers as tf_keras ones
QUIET := TF_CPP_MIN_LOG_LEVEL=3 # TensorFlow looks for a GPU, aloud
BENCHMARK := $(QUIET) PYTHONPATH=examples:tests $(BIN)/python benchmarks

.PHONY: setup demo wakeword test test-all figures bench-training bench-qat bench-adding \
  bench-bounded-state bench-wake-word bench-paper toolchains mcu bench-mcu tflm-firmware docs lint clean

setup: .venv/stamp
.venv/stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	touch $@

# HAPT: train, prune, convert and run in TensorFlow Lite for Microcontrollers; a table, a picture.
demo: setup
	$(QUIET) $(BIN)/python examples/activity_recognition.py

# Google Speech Commands: a wake word and a keyword spotter, on a stream; a table, a picture.
wakeword: setup
	$(QUIET) $(BIN)/python examples/wake_word.py

test: setup
	$(BIN)/pytest -n 2
	$(LEGACY) $(BIN)/pytest -n 2 tests/layers

# The same with many more random cells and windows on each microcontroller, which takes longer.
test-all: setup
	KERAS_FASTGRNN_TEST_ALL=1 $(BIN)/pytest -n 2
	$(LEGACY) $(BIN)/pytest -n 2 tests/layers

# The figures of README.md, over three seeds, into benchmarks/results/.
figures: setup
	$(BENCHMARK)/backbone.py

# Those of docs/speed.md.
bench-training: setup
	$(BENCHMARK)/training.py

# Those of docs/quantize.md.
bench-qat: setup
	$(BENCHMARK)/quantization_aware.py

# Those of docs/long_sequences.md: the adding problem, which takes an hour,
bench-adding: setup
	$(BENCHMARK)/adding.py

# and the example's model with a bounded state.
bench-bounded-state: setup
	$(BENCHMARK)/bounded_state.py

# Those of docs/wake_word.md, in hours: it goes on where it was stopped.
bench-wake-word: setup toolchains
	$(BENCHMARK)/keywords.py

# Those of docs/paper.md, and a page, in hours too: it goes on where it was stopped.
bench-paper: setup
	$(BENCHMARK)/paper.py

# The cross compilers and emulators, from Debian's packages.
toolchains:
	tests/boards/install.sh

# The kernel and the C export on each microcontroller, under its emulator.
mcu: setup toolchains
	KERAS_FASTGRNN_REQUIRE_TARGETS=1 $(BIN)/pytest -n 2 tests/micro/test_targets.py \
	  tests/export/test_c_source.py

# The figures of docs/microcontrollers.md, into benchmarks/results/.
bench-mcu: setup toolchains
	$(BENCHMARK)/microcontrollers.py

# The example's model in TFLite Micro on a Cortex-M4: docs/tflm.md says how to get TFLM_DIR.
tflm-firmware: setup
	$(BENCHMARK)/tflm_firmware.py --tflm_dir="$(TFLM_DIR)"

# The API reference, from the docstrings, into build/docs/.
docs: setup
	$(QUIET) $(BIN)/python docs/api_reference.py

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	find micro tests -name '*.[ch]' -o -name '*.cc' | xargs $(BIN)/clang-format --dry-run -Werror

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
