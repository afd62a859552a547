"""Optimizations that keep a GPU busy; they gain nothing on the CPU."""
