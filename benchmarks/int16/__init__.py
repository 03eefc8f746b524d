"""The gain and the cost of 16-bit activations: `python -m benchmarks.int16`."""
