"""Languages, number formats, Markdown and Discord's clock."""
