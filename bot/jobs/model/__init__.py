"""What is known of the model before it is loaded, and jobs that wait for it."""
