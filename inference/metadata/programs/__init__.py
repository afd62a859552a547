"""Parts of reading single programs' texts."""
