"""What a button, a select or a form under a message does."""
