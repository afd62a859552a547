"""What a gallery shows."""
