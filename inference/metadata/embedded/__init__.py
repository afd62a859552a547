"""Texts in image files outside of text chunks and EXIF tags."""
