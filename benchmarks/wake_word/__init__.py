"""A wake word over folds of speakers: `python -m benchmarks.wake_word`."""
