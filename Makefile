# A fresh checkout needs Python 3.11 to 3.13 with venv, gcc and make: every target prepares .venv.
BIN := .venv/bin
WILL_DO := import sys, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
VERSION := import sys; print("%d.%d" % sys.version_info[:2])
# That of .venv, or else the first of the others that will do; make PYTHON=... takes another.
ifndef PYTHON
PYTHON := $(shell for python in $(BIN)/python python3.11 python3.12 python3.13 python3; do \
  $$python -c '$(WILL_DO)' 2>/dev/null && break; done; echo $$python)
endif
LEGACY := TF_USE_LEGACY_KERAS=1 # the layers as tf_keras ones
QUIET := TF_CPP_MIN_LOG_LEVEL=3 # TensorFlow looks for a GPU, aloud
BENCHMARK := $(QUIET) $(BIN)/python -m benchmarks

.PHONY: python setup demo wakeword keywords denoise test test-all test-bare wheel figures bench-training bench-qat \
  bench-int16 bench-adding bench-bounded-state bench-conversion pages bench-wake-word bench-audio-front-end bench-paper bench-denoise \
  toolchains mcu bench-mcu bench-estimate tflm-firmware esp-idf docs lint clean

# Whether there is a Python to make .venv with.
python:
	@$(PYTHON) -c '$(WILL_DO)' 2>/dev/null || { echo "Needs Python 3.11 to 3.13 with venv, which" \
	  "$(PYTHON) is not: apt-get install python3-venv, or make PYTHON=/path/to/python3.12" >&2; \
	  exit 1; }

FOUND := $(or $(shell $(PYTHON) -c '$(VERSION)' 2>/dev/null),none)
setup: .venv/stamp-$(FOUND)
.venv/stamp-$(FOUND): pyproject.toml constraints.txt | python
	@[ "$$($(BIN)/python -c '$(VERSION)' 2>/dev/null)" = $(FOUND) ] || \
	  { echo "Making .venv with Python $(FOUND)"; rm -rf .venv && $(PYTHON) -m venv .venv; }
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	touch $@

# HAPT: train, prune, convert and run in TensorFlow Lite for Microcontrollers; a table, a picture.
demo: setup
	$(QUIET) $(BIN)/python -m examples.activity_recognition

# Google Speech Commands: a wake word in a stream; tables, a picture, C with the audio front end.
wakeword: setup
	$(QUIET) $(BIN)/python -m examples.wake_word

# and a spotter of ten words; a table.
keywords: setup
	$(QUIET) $(BIN)/python -m examples.keywords

# Speech Commands again: speech out of noise, with 16-bit activations; a table, a picture, .wav files.
denoise: setup
	$(QUIET) $(BIN)/python -m examples.denoise

# Installs what it lacks if it may; what stays without its tools is skipped, in a line for each.
test: setup
	tests/boards/install.sh --if-root
	$(BIN)/pytest -n 2 --dist worksteal
	$(LEGACY) $(BIN)/pytest -n 2 --dist worksteal tests/layers

# The same with the cases that `make test` leaves out, as others cover their code, and with many more
# random cells and windows on each microcontroller, which takes longer.
ALL := KERAS_FASTGRNN_TEST_ALL=1
test-all: setup
	$(ALL) $(BIN)/pytest -n 2 --dist worksteal
	$(ALL) $(LEGACY) $(BIN)/pytest -n 2 --dist worksteal tests/layers

# Those that call tools, as on a machine that has none of them: they may be skipped, and not fail.
# tests/export/test_c_source.py names those of its own after chips, sketches and folders for CMake.
BARE := $(CURDIR)/build/bare
test-bare: setup
	rm -rf $(BARE) && mkdir -p $(BARE) && ln -sf /bin/* /usr/bin/* $(BARE)
	cd $(BARE) && rm -f arm-* avr-* riscv* xtensa-* qemu-* simavr* cmake* chromium*
	env --unset=KERAS_FASTGRNN_REQUIRE_TARGETS PATH=$(BARE) $(BIN)/pytest -n 2 --dist worksteal $(addprefix \
	  tests/micro/test_,targets.py thumb.py avr.py tflm_firmware.py) $(addprefix \
	  tests/benchmarks/test_,figures.py wake_word_chips.py audio_front_end.py step_costs.py) \
	  tests/export/test_c_source.py -k "not c_source or chip or avr or arduino or cmake or sdk or program"

# The package as a file for pip, into dist/.
wheel: setup
	$(BIN)/python -m build

# The figures of README.md, over three seeds, into benchmarks/results/.
figures: setup
	$(BENCHMARK).backbone

# Those of docs/speed.md.
bench-training: setup
	$(BENCHMARK).training
	$(BENCHMARK).pages

# Those of docs/quantize.md.
bench-qat: setup
	$(BENCHMARK).quantization_aware
	$(BENCHMARK).pages

# and there those of 16-bit activations, in an hour: it goes on where it was stopped.
bench-int16: setup toolchains
	$(BENCHMARK).int16
	$(BENCHMARK).pages

# Those of docs/long_sequences.md: the adding problem, which takes an hour,
bench-adding: setup
	$(BENCHMARK).adding
	$(BENCHMARK).pages

# and the example's model with a bounded state.
bench-bounded-state: setup
	$(BENCHMARK).bounded_state
	$(BENCHMARK).pages

# Those of docs/quantize.md: what a conversion takes.
bench-conversion: setup
	$(BENCHMARK).conversion

# The tables and pictures of README.md and docs/, from benchmarks/results/: what a bench target does
# at its end.
pages: setup
	$(BENCHMARK).pages

# Those of docs/wake_word.md, in hours: it goes on where it was stopped.
bench-wake-word: setup toolchains
	$(BENCHMARK).wake_word
	$(BENCHMARK).pages

# Those of docs/audio_front_end.md.
bench-audio-front-end: setup toolchains
	$(BENCHMARK).audio_front_end
	$(BENCHMARK).pages

# Those of docs/paper.md, in hours too: it goes on where it was stopped.
bench-paper: setup
	$(BENCHMARK).paper
	$(BENCHMARK).pages

# Those of docs/denoise.md, over three seeds, in an hour: it goes on where it was stopped.
bench-denoise: setup toolchains
	$(BENCHMARK).denoise
	$(BENCHMARK).pages

# The cross compilers and emulators, from Debian's packages.
toolchains:
	tests/boards/install.sh

# The kernel and the C export on each microcontroller, under its emulator.
mcu: setup toolchains
	KERAS_FASTGRNN_REQUIRE_TARGETS=1 $(BIN)/pytest -n 2 --dist worksteal tests/micro/test_targets.py \
	  tests/export/test_c_source.py

# The figures of docs/microcontrollers.md, into benchmarks/results/.
bench-mcu: setup toolchains
	$(BENCHMARK).microcontrollers
	$(BENCHMARK).pages

# What export.estimate() knows of them, into export/step_costs.json.
bench-estimate: setup toolchains
	$(BENCHMARK).step_costs

# The example's model in TFLite Micro on a Cortex-M4: docs/tflm.md says how to get TFLM_DIR.
tflm-firmware: setup
	$(BENCHMARK).tflm_firmware --tflm_dir="$(TFLM_DIR)"
	$(BENCHMARK).pages

# The exported folder for ESP-IDF, built by its own CMake for this PC and run, in a shell where its
# export.sh was sourced.
esp-idf: setup
	IDF_PATH="$(IDF_PATH)" $(BIN)/pytest tests/export/test_esp_idf.py

# The API reference, from the docstrings, into build/docs/.
docs: setup
	$(QUIET) $(BIN)/python docs/api_reference.py

# mypy knows no packages but those whose folders have their names.
TYPED := build/typed/keras_fastgrnn
lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	mkdir -p $(TYPED) && cd $(TYPED) && ln -sfn ../../../keras_fastgrnn/*.py ../../../export ../../../micro .
	cd $(TYPED)/.. && $(CURDIR)/$(BIN)/mypy --config-file=$(CURDIR)/pyproject.toml -p keras_fastgrnn
	find micro tests examples -name '*.[ch]' -o -name '*.cc' | xargs $(BIN)/clang-format --dry-run -Werror

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
