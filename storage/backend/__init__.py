"""What the databases do each in their own way."""
