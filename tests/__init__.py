"""The tests, and the boards on which tests and benchmarks run programs."""
