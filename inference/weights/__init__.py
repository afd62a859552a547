"""Weights files: finding, reading and merging them."""
