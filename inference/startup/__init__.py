"""What makes an engine's process start quickly."""
