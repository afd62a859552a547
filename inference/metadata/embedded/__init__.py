"""Texts of image files that stand elsewhere than in text chunks and EXIF tags."""
