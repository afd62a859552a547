"""Which part of an image a job redraws."""
