"""Builds the posts of galleries."""
