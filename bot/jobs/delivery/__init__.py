"""The way of a job's news to its message: images, progress, failures."""
