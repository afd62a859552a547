"""What a message shows and holds."""
