"""`/anima preferences`."""
