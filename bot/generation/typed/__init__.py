"""Parses what people type: the commands' options, and LoRAs."""
