"""What the classes of `storage` take and return."""
