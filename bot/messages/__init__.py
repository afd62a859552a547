"""Builds the texts and layouts of messages."""
