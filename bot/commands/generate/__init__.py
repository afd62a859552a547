"""The commands that generate images, and the options they share."""
