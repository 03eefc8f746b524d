"""Training with the integers that the chip computes."""
