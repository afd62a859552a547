"""What happens before an interaction is acknowledged: it is stored, and what is needed is read from memory."""
