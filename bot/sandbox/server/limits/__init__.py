"""Discord's rate limits: the figures and the counters."""
