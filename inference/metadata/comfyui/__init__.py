"""Parts of reading ComfyUI's graphs: subgraphs, texts, changed nodes, schedules' lengths."""
