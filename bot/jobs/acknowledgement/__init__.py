"""What happens before an interaction is acknowledged: store it, and look up from memory what the answer depends on."""
