"""Anima Bot: what stands between Discord and the engine."""
