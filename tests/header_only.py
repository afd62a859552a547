"""Writes safetensors files that have a header and no tensors: all that is read of a model before it is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path


def write_header(path: Path, keys: Mapping[str, tuple[int, ...]] | None = None, **metadata: str) -> Path:
    """A file whose tensors, by their keys, have no elements; `metadata`'s names have dots for double underscores."""
    said = {name.replace("__", "."): value for name, value in metadata.items()}
    tensors = {key: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for key, shape in (keys or {}).items()}
    header = json.dumps({"__metadata__": said, **tensors}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    return path
