"""`anima benchmark --everything`: besides the networks, also modes, starts and batches, within a number of minutes."""
