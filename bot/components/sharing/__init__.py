"""Sharing images in a server's gallery."""
