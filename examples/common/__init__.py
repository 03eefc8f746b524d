"""What the examples and the benchmarks share."""
