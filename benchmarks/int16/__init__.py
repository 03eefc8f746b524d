"""What 16-bit activations give and cost: `python -m benchmarks.int16`."""
