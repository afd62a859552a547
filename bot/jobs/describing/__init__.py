"""From an image to a prompt that says what it shows."""
