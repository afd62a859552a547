"""Covering an area with overlapping tiles, and putting what was made of each together again."""
