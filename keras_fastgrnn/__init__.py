"""FastRNN and FastGRNN for Keras."""
