"""Which images are in servers' galleries."""
