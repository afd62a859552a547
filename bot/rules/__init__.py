"""The rules for who may generate what, where and how much."""
