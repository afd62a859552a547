"""What is known about the model before it is loaded, and jobs that wait for it."""
