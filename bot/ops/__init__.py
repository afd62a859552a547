"""What an operator sets and sees."""
