"""Reads texts in image files that are not in text chunks or EXIF tags."""
