"""Changing a finished image: redrawing a part, extending the canvas."""
