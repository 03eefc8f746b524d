"""The tests, and the boards that they and the benchmarks run programs on."""
