"""Files of weights: finding, reading, merging."""
