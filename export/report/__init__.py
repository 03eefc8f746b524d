"""What a conversion cost: measured, as text and as a page."""
