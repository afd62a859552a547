"""`anima benchmark --everything`: beside the networks also modes, starts and batches, within a number of minutes."""
