"""From options to the images of a job."""
