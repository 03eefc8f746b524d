"""The paper's claim done again: `python -m benchmarks.paper`."""
