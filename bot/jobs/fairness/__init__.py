"""What the queue calculates with: one user's line, and what a turn costs."""
