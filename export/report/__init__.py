"""The loss, the bytes and the ranges of a conversion: measured, as text and as a page."""
