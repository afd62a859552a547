"""The blocks' large matrices in 8 bits (float8_e4m3fn, arXiv 2209.05433), with a scale for each row.

Scales computed here are powers of two, so scaling is exact: the only loss comes from rounding to 3 bits of mantissa. If
the GPU can multiply such numbers (Ada, Hopper and newer), the activations are rounded to 8 bits too, with a scale for
each token. Otherwise a layer's matrix is converted to the activations' dtype each time it is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inference.networks.params import TransformerParams

FLOAT8 = torch.float8_e4m3fn
MAX_FLOAT8 = torch.finfo(FLOAT8).max
#: The exponent of the smallest scale, with which float16 too can hold a row's numbers exactly.
MIN_EXPONENT = -14
#: The compute capability of NVIDIA's Ada, the first that multiplies numbers in float8.
FIRST_WITH_FLOAT8 = (8, 9)


@dataclass(frozen=True)
class ScaledRows:
    """A matrix as `values * scale[:, None]`."""

    #: float8_e4m3fn [rows, columns]
    values: Tensor
    #: float32 [rows]
    scale: Tensor

    @classmethod
    def of(cls, matrix: Tensor) -> ScaledRows:
        """Round a matrix [rows, columns] of any other dtype. A row that is not finite becomes NaN."""
        matrix = matrix.float()
        largest = matrix.abs().amax(dim=1)
        _, exponent = torch.frexp(largest.nan_to_num() / MAX_FLOAT8)
        scale = torch.exp2(exponent.clamp_min(MIN_EXPONENT).float())
        scale = scale.where(largest.isfinite(), torch.nan)  # the conversion would turn infinity into a number
        return cls((matrix / scale[:, None]).to(FLOAT8), scale)

    def to(self, device: torch.device) -> ScaledRows:
        return ScaledRows(self.values.to(device), self.scale.to(device))


class Float8Linear(nn.Module):
    """A linear layer without bias, in 8 bits. `multiplies`: whether the matrix product is computed in 8 bits too."""

    weight: nn.Parameter
    scale: Tensor

    def __init__(self, linear: nn.Linear, multiplies: bool) -> None:
        super().__init__()
        self.multiplies = multiplies
        where = linear.weight.device
        self.weight = nn.Parameter(torch.empty_like(linear.weight, dtype=FLOAT8), requires_grad=False)
        # Not persistent, so that the state dict has the same keys as without float8.
        self.register_buffer("scale", torch.ones(linear.out_features, device=where), persistent=False)

    def hold(self, rows: ScaledRows) -> None:
        """Replace the layer's matrix, on the same device."""
        rows = rows.to(self.weight.device)
        self.weight.data, self.scale = rows.values, rows.scale

    def forward(self, x: Tensor) -> Tensor:
        return float8_linear(x, self.weight, self.scale, self.multiplies)


def float8_linear(x: Tensor, weight: Tensor, scale: Tensor, multiplies: bool) -> Tensor:
    """x [..., in] times the rows [out, in] in 8 bits with their scales. `multiplies`: as in `Float8Linear`."""
    if multiplies:
        return product(x, weight, scale)
    return F.linear(x, weight.to(x.dtype).mul_(scale[:, None]))


def product(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """x [..., in] times the rows [out, in] in 8 bits, each token of x rounded to 8 bits with a scale of its own."""
    tokens = x.reshape(-1, x.shape[-1])
    own = tokens.abs().amax(dim=1, keepdim=True).float().clamp_min(1e-12) / MAX_FLOAT8
    rounded = (tokens / own).to(FLOAT8)
    result = torch._scaled_mm(rounded, weight.t(), scale_a=own, scale_b=scale[None], out_dtype=torch.bfloat16)
    return result.to(x.dtype).reshape(*x.shape[:-1], weight.shape[0])


def multiplies_float8(device: torch.device) -> bool:
    """Whether `device` can multiply numbers in float8, and PyTorch has a kernel for that."""
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < FIRST_WITH_FLOAT8:
        return False
    try:
        ones = torch.ones(32, 32, device=device)
        return bool((product(ones, ones.to(FLOAT8), ones[0]) == 32).all())
    except (RuntimeError, NotImplementedError):  # such as ROCm's, on GPUs with another float8 format
        return False


def keep_in_float8(blocks: nn.Module, multiplies: bool) -> None:
    """Make the matrices of attention and MLP in transformer blocks 8-bit layers, before weights are loaded.

    The modulation's matrices keep their dtype: they are small, and affect every token.
    """
    for name, layer in list(blocks.named_modules()):
        parent, _, own_name = name.rpartition(".")
        if isinstance(layer, nn.Linear) and in_float8(f"blocks.{name}.weight"):
            setattr(blocks.get_submodule(parent), own_name, Float8Linear(layer, multiplies))


def in_float8(name: str) -> bool:
    """Whether a transformer's tensor of this name is kept in 8 bits."""
    part = name.split(".")
    return part[0] == "blocks" and part[2] in ("self_attn", "cross_attn", "mlp") and not part[3].endswith("_norm")


def float8_layer(network: nn.Module, tensor: str) -> Float8Linear | None:
    """The 8-bit layer whose weight has this name; None if it is not an 8-bit layer's."""
    layer, _, name = tensor.rpartition(".")
    try:
        found = network.get_submodule(layer)
    except AttributeError:
        return None
    return found if isinstance(found, Float8Linear) and name == "weight" else None


def weights_size(params: TransformerParams, dtype: torch.dtype, float8: bool = False) -> int:
    """Bytes of a transformer's weights. dtype, float8: as in `Precision`."""
    return sum(
        math.prod(shape) + shape[0] * torch.float32.itemsize
        if float8 and in_float8(name)
        else math.prod(shape) * dtype.itemsize
        for name, shape in params.shapes.items()
    )
