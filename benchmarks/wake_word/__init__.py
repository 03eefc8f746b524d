"""A wake word, tested on folds of speakers: `python -m benchmarks.wake_word`."""
