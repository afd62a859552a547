"""The stand-in's API and gateway."""
