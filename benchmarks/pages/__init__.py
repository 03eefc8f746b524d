"""Tables and pages of the kept results."""
