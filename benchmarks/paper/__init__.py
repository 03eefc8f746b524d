"""The paper's claim, measured again: `python -m benchmarks.paper`."""
