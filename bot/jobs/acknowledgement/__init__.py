"""What happens before an interaction is acknowledged: it is written down, and what has to be known is in memory."""
