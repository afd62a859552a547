"""Covers an area with overlapping tiles, and averages their results."""
