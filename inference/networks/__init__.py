"""The model's networks."""
