"""Converts ComfyUI's 8-bit weights back into plain ones as they are read.

Beside a layer's `weight`, in float8 or int8, stand its scale, one number or one for each row, under `weight_scale` or
`scale_weight`, and at times an `input_scale`, which only faster arithmetic needs. What else there is to know is JSON,
in a tensor `comfy_quant` of each layer or for all in the header's `_quantization_metadata`. ConvRot is int8 of weights
that were multiplied by a Hadamard matrix in groups of columns; since that matrix is symmetric and orthogonal, the same
multiplication takes it back.
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
#: The forms whose weights some programs store as uint8.
STORED_AS_BYTES = {"float8_e4m3fn": FLOAT8, "float8_e5m2": torch.float8_e5m2}
#: Rows of a weight that are turned at a time.
ROWS = 64


@dataclass(frozen=True)
class Quantization:
    """How the quantised tensors of a file are to be read. Keys are the file's own."""

    keys: Collection[str]
    metadata: Mapping[str, str]
    get: Callable[[str], Tensor]

    @cached_property
    def form(self) -> QuantizedForm:
        return QuantizedForm(self.keys, self.metadata, lambda key: _bytes(self.get(key)))

    def plain(self, key: str) -> Tensor:
        """A tensor of the file, float32 where it was quantised, else as it is."""
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
        """A matrix of the file as it is, where it is in float8_e4m3fn; None for any other tensor."""
        tensor = self._tensor(key)
        if tensor.dtype != FLOAT8 or tensor.ndim != 2 or self.form.settings(key.rpartition(".")[0]).get("convrot"):
            return None
        scale = self._scale(key, tensor)
        scale = torch.ones(1) if scale is None else scale
        return ScaledRows(tensor, scale.expand(tensor.shape[0]).clone())

    def _tensor(self, key: str) -> Tensor:
        """A tensor of the file, with the dtype that its settings name where float8 is stored as plain bytes."""
        tensor = self.get(key)
        layer, _, name = key.rpartition(".")
        if tensor.dtype != torch.uint8 or name != "weight":
            return tensor
        form = str(self.form.settings(layer).get("format"))
        return tensor.view(STORED_AS_BYTES[form]) if form in STORED_AS_BYTES else tensor

    def _scale(self, key: str, tensor: Tensor) -> Tensor | None:
        """float32 [1] or [rows]; None where the tensor has none."""
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


def _bytes(tensor: Tensor) -> bytes:
    return bytes(tensor.to(torch.uint8).flatten().tolist())
