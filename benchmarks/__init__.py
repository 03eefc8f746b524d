"""Commands that measure the figures of the docs: `python -m benchmarks.NAME`."""
