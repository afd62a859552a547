"""Which part of an image a job redraws, and what is shown of it."""
