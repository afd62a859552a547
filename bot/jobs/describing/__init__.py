"""Describes an image as a prompt."""
