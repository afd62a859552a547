"""Parses what users type: the commands' options, models and LoRAs."""
