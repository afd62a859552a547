"""Writes safetensors files that have a header and no tensors: all that is read of a model before it is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from inference.networks.params import AdapterParams, TransformerParams

#: Sizes of a diffusion model that only has a header.
SIZES = TransformerParams(
    width=64,
    depth=2,
    head_dim=32,
    mlp_width=128,
    context_width=64,
    modulation_rank=8,
    latent_channels=16,
    adapter=AdapterParams(vocabulary=32, width=64, depth=1, head_dim=32, mlp_width=128, source_width=64),
)


def write_header(path: Path, keys: Mapping[str, tuple[int, ...]] | None = None, **metadata: str) -> Path:
    """A file whose tensors, by their keys, have no elements; `metadata`'s names have dots for double underscores."""
    said = {name.replace("__", "."): value for name, value in metadata.items()}
    tensors = {key: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for key, shape in (keys or {}).items()}
    header = json.dumps({"__metadata__": said, **tensors}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    return path


def write_diffusion_model(path: Path, *, blocks: int = 2, **metadata: str) -> Path:
    """The header of a complete diffusion model, which can be chosen but not loaded."""
    shapes = replace(SIZES, depth=blocks).shapes
    return write_header(path, {f"net.{name}": shape for name, shape in shapes.items()}, **metadata)
