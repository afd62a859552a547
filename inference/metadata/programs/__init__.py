"""Readers for single programs' texts."""
