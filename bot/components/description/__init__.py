"""Describing an image, and drawing the description."""
