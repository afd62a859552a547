"""`anima benchmark --everything`: also measures modes, batches and starts, within a time limit."""
