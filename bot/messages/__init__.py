"""What messages show."""
