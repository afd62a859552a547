"""Parts of reading ComfyUI's graphs: subgraphs, texts, nodes that changed the image, lengths of schedules."""
