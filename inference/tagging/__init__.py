"""Tags for an image, from a tagger in a process of its own."""
