"""What the queue calculates with: one user's queued jobs, and what a turn costs."""
