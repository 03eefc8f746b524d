"""The tables and pictures of the results."""
