"""Converts ComfyUI's 8-bit weights back into plain ones as they are read.

A layer's `weight`, in float8 or int8, comes with its scale: one number or one for each row, named `weight_scale` or
`scale_weight`. Some files also have an `input_scale`, which only faster arithmetic needs. Further settings are JSON, in
a tensor `comfy_quant` of each layer or for all layers in the header's `_quantization_metadata`. ConvRot is int8 for
weights that were multiplied by a Hadamard matrix in groups of columns. That matrix is symmetric and orthogonal, so
multiplying by it again undoes this.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache, cached_property

import torch
from torch import Tensor

from inference.networks.float8 import FLOAT8, ScaledRows
from inference.weights.headers.quantization import SCALES, QuantizedForm

GROUP = 256
#: The formats whose weights some programs store as uint8.
STORED_AS_BYTES = {"float8_e4m3fn": FLOAT8, "float8_e5m2": torch.float8_e5m2}
#: How many rows of a weight are multiplied at a time.
ROWS = 64


@dataclass(frozen=True)
class Quantization:
    """Reads the quantised tensors of a file. Keys are the file's own."""

    keys: Collection[str]
    metadata: Mapping[str, str]
    get: Callable[[str], Tensor]

    @cached_property
    def form(self) -> QuantizedForm:
        return QuantizedForm(self.keys, self.metadata, lambda key: _bytes(self.get(key)))

    def plain(self, key: str) -> Tensor:
        """A tensor of the file: converted to float32 if it is quantised, else unchanged. Raises ValueError."""
        tensor = self._tensor(key)
        scale = self._scale(key, tensor)
        if scale is None:
            if not tensor.dtype.is_floating_point and tensor.ndim > 1:
                raise ValueError("it contains integers without a scale")
            return tensor
        if not tensor.dtype.is_floating_point and tensor.dtype != torch.int8:
            raise ValueError(f"it contains integers of {8 * tensor.dtype.itemsize} bits, not int8")
        plain = tensor.to(torch.float32, copy=True).mul_(scale.reshape(-1, *[1] * (tensor.ndim - 1)))
        settings = self.form.settings(key.rpartition(".")[0])
        return rotate_groups(plain, int(settings.get("convrot_groupsize", GROUP))) if settings.get("convrot") else plain

    def scaled_rows(self, key: str) -> ScaledRows | None:
        """A matrix of the file without conversion, if it is in float8_e4m3fn; None for any other tensor."""
        tensor = self._tensor(key)
        if tensor.dtype != FLOAT8 or tensor.ndim != 2 or self.form.settings(key.rpartition(".")[0]).get("convrot"):
            return None
        scale = self._scale(key, tensor)
        scale = torch.ones(1) if scale is None else scale
        return ScaledRows(tensor, scale.expand(tensor.shape[0]).clone())

    def _tensor(self, key: str) -> Tensor:
        """A tensor of the file. If it is float8 stored as uint8, it gets the dtype in its settings."""
        tensor = self.get(key)
        layer, _, name = key.rpartition(".")
        if tensor.dtype != torch.uint8 or name != "weight":
            return tensor
        form = str(self.form.settings(layer).get("format"))
        return tensor.view(STORED_AS_BYTES[form]) if form in STORED_AS_BYTES else tensor

    def _scale(self, key: str, tensor: Tensor) -> Tensor | None:
        """The tensor's scale, float32 [1] or [rows]; None if it has none."""
        layer, _, name = key.rpartition(".")
        scale_key = next((f"{layer}.{scale}" for scale in SCALES if f"{layer}.{scale}" in self.keys), None)
        if name != "weight" or scale_key is None:
            return None
        scale = self.get(scale_key).float()
        of_columns = scale.ndim > 1 and scale.shape[0] == 1 < scale.numel()
        if of_columns or scale.numel() not in (1, tensor.shape[0]):
            raise ValueError(f"its scale has shape {list(scale.shape)}, but must be one number, or one for each row")
        return scale.flatten()


def rotate_groups(weight: Tensor, size: int) -> Tensor:
    """Multiply each `size` columns of `weight` [out, in] by the regular Hadamard matrix of that size, in place.

    It takes a few rows at a time, so it needs no memory for a second copy.
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


def _bytes(tensor: Tensor) -> bytes:
    return bytes(tensor.to(torch.uint8).flatten().tolist())
