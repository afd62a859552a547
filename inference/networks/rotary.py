"""Rotary position embedding (RoFormer, arXiv 2104.09864), in the convention that rotates the halves of a head."""

from __future__ import annotations

import torch
from torch import Tensor


def axis_angles(length: int, features: int, base: float, device: torch.device) -> Tensor:
    """Angles float32 [length, features / 2] of the positions 0 to length - 1 along one axis."""
    exponents = torch.arange(0, features, 2, dtype=torch.float32, device=device) / features
    positions = torch.arange(length, dtype=torch.float32, device=device)
    return torch.outer(positions, 1.0 / base**exponents)


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate x [..., N, head_dim] by the cosines and sines [N, head_dim / 2], computed in float32."""
    cos, sin = rotation
    first, second = x.float().chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1).to(x.dtype)
