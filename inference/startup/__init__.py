"""Makes an engine's process start quickly."""
