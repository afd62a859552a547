"""Calculations for the queue: one user's queued jobs, and the price of a turn."""
