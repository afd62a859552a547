"""Parts of reading ComfyUI's graphs that stand on their own: the page's form of a graph, and schedules' lengths."""
