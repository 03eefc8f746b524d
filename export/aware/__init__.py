"""Training with the integers of the chip."""
