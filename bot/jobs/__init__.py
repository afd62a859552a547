"""A job's life: submission, queue, worker, delivery, recovery."""
