"""The charts of docs/benchmarks.md, drawn as SVG from a file of figures, for light and for dark mode."""
