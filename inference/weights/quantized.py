"""Weights of 8 bits as ComfyUI writes them, turned back into plain ones as they are read.

Beside a layer's `weight`, in float8 or int8, stand its scale, one number or one for each row, under `weight_scale` or
`scale_weight`, and at times an `input_scale`, which only faster arithmetic needs. What else there is to know is JSON,
in a tensor `comfy_quant` of each layer or for all in the header's `_quantization_metadata`. ConvRot is int8 of weights
that were multiplied by a Hadamard matrix in groups of columns; since that matrix is symmetric and orthogonal, the same
multiplication takes it back.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

SCALES = ("weight_scale", "scale_weight")
#: What belongs to a quantised layer beside its weight, and is none of the model's tensors.
BESIDE = (*SCALES, "input_scale", "scale_input", "comfy_quant", "weight_scale_2")
#: A mark of the whole file.
MARK = "scaled_fp8"
HEADER_ENTRY = "_quantization_metadata"
READABLE = frozenset({"float8_e4m3fn", "float8_e5m2", "int8_tensorwise"})
GROUP = 256
#: Rows of a weight that are turned at a time.
ROWS = 64


@dataclass(frozen=True)
class Quantization:
    """How the quantised tensors of a file are to be read. Keys are the file's own."""

    keys: Collection[str]
    metadata: Mapping[str, str]
    get: Callable[[str], Tensor]

    def belongs_beside(self, key: str) -> bool:
        """Whether a key of the file only says how another is to be read."""
        layer, _, name = key.rpartition(".")
        return name == MARK or (name in BESIDE and f"{layer}.weight" in self.keys)

    def fault(self) -> str | None:
        """Why this file cannot be read, as the end of a sentence; None where it can, or is not quantised."""
        for key in self.keys:
            layer, _, name = key.rpartition(".")
            if name == "weight_scale_2" and f"{layer}.weight" in self.keys:
                return _unreadable("nvfp4")
            if name == "comfy_quant" and (form := _form(self._settings(layer))) not in READABLE:
                return _unreadable(form)
        forms = {_form(settings) for settings in self._in_header().values()}
        return next((_unreadable(form) for form in sorted(forms - READABLE)), None)

    def plain(self, key: str) -> Tensor:
        """A tensor of the file, float32 where it was quantised, else as it is."""
        tensor = self.get(key)
        layer, _, name = key.rpartition(".")
        scale_key = next((f"{layer}.{scale}" for scale in SCALES if f"{layer}.{scale}" in self.keys), None)
        if name != "weight" or scale_key is None:
            return tensor
        scale = self.get(scale_key).float()
        if scale.ndim == 1 and scale.numel() == tensor.shape[0]:
            scale = scale.reshape(-1, *[1] * (tensor.ndim - 1))
        plain = tensor.to(torch.float32, copy=True).mul_(scale)
        settings = self._settings(layer)
        return turn(plain, int(settings.get("convrot_groupsize", GROUP))) if settings.get("convrot") else plain

    def _settings(self, layer: str) -> Mapping[str, int | str | bool]:
        key = f"{layer}.comfy_quant"
        if key in self.keys:
            return _object(bytes(self.get(key).to(torch.uint8).flatten().tolist()))
        layers = self._in_header()
        return next((layers[name] for name in (layer, *_shorter(layer)) if name in layers), {})

    def _in_header(self) -> Mapping[str, Mapping[str, int | str | bool]]:
        if HEADER_ENTRY not in self.metadata:
            return {}
        layers = _object(self.metadata[HEADER_ENTRY].encode()).get("layers")
        if not isinstance(layers, dict):
            return {}
        return {name: settings for name, settings in layers.items() if isinstance(settings, dict)}


def turn(weight: Tensor, size: int) -> Tensor:
    """Multiply each `size` columns of `weight` [out, in] by the regular Hadamard matrix of that size, in place.

    A few rows at a time, so that the memory for a second copy is never taken.
    """
    matrix = hadamard(size)
    for start in range(0, weight.shape[0], ROWS):
        rows = weight[start : start + ROWS]
        rows.copy_((rows.reshape(rows.shape[0], -1, size) @ matrix).reshape(rows.shape))
    return weight


@cache
def hadamard(size: int) -> Tensor:
    """The regular Hadamard matrix of a size that is a power of 4, divided by the square root of the size."""
    if size < 4 or 4 ** round(math.log(size, 4)) != size:
        raise ValueError(f"the size of ConvRot's groups is {size}, but must be a power of 4")
    seed = torch.ones(4, 4) - 2 * torch.eye(4).flip(0)
    matrix = seed
    while matrix.shape[0] < size:
        matrix = torch.kron(matrix, seed)
    return matrix / math.sqrt(size)


def _form(settings: Mapping[str, object]) -> str:
    return str(settings.get("format", "float8_e4m3fn"))[:40]


def _unreadable(form: str) -> str:
    return (
        f"its weights are quantised as {form}, which is not supported. Use the plain version in bfloat16, or one in "
        "fp8 or int8."
    )


def _object(text: bytes) -> dict[str, int | str | bool]:
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _shorter(layer: str) -> list[str]:
    parts = layer.split(".")
    return [".".join(parts[start:]) for start in range(1, len(parts))]
