"""How a job's updates reach its message: images, progress, failures."""
