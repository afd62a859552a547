"""Languages and Markdown."""
