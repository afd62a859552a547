"""Who may generate what, where and how much."""
