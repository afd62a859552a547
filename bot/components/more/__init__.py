"""What *More…* under an image offers."""
