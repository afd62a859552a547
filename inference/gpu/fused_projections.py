"""Fuses projections with the same input (query, key, value) to one matrix product.

Their matrices become views of one storage, so nothing is kept twice, and each remains a parameter with its own name:
they are loaded, counted, moved and changed by LoRA as if nothing were fused. Code that replaces a parameter's data must
call `fuse` again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inference.networks.float8 import Float8Linear, float8_linear


class FusedProjections(nn.Module):
    """A module with linear layers, without bias, that have the same input."""

    #: The names of these layers.
    PROJECTIONS: tuple[str, ...] = ()

    #: The fused matrix [outputs of all, inputs], of which the layers' weights are views; None if they are not fused.
    fused: Tensor | None = None
    #: float32 [outputs of all]: the rows' scales if the matrix is in 8 bits.
    fused_scale: Tensor | None = None

    def projected(self, x: Tensor) -> tuple[Tensor, ...]:
        """The layers' outputs for x [..., inputs]."""
        layers = [getattr(self, name) for name in self.PROJECTIONS]
        if self.fused is None:
            return tuple(layer(x) for layer in layers)
        if self.fused_scale is None:
            product = F.linear(x, self.fused)
        else:
            product = float8_linear(x, self.fused, self.fused_scale, layers[0].multiplies)
        return product.chunk(len(layers), dim=-1)

    def fuse(self) -> None:
        """Make the layers' matrices views of one, if they are not yet."""
        layers = [getattr(self, name) for name in self.PROJECTIONS]
        if self._is_fused(layers):
            return
        self.fused, parts = _fused([layer.weight.data for layer in layers])
        for layer, part in zip(layers, parts, strict=True):
            layer.weight.data = part
        if isinstance(layers[0], Float8Linear):
            self.fused_scale, scales = _fused([layer.scale for layer in layers])
            for layer, scale in zip(layers, scales, strict=True):
                layer.scale = scale

    def unfuse(self) -> None:
        """Undo `fuse`."""
        self.fused = self.fused_scale = None

    def _is_fused(self, layers: list[Any]) -> bool:
        weights = [(self.fused, [layer.weight for layer in layers])]
        if isinstance(layers[0], Float8Linear):
            weights.append((self.fused_scale, [layer.scale for layer in layers]))
        return all(_are_parts(whole, parts) for whole, parts in weights)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Fuse again after `to` and the like, which give each weight a storage of its own."""
        was_fused, self.fused, self.fused_scale = self.fused is not None, None, None
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if was_fused:
            self.fuse()
        return self


def fuse_projections(network: nn.Module) -> None:
    """Fuse all projections that can be fused."""
    for module in network.modules():
        if isinstance(module, FusedProjections):
            module.fuse()


def fuse_again(network: nn.Module) -> None:
    """After weights were replaced: fuse again what was fused."""
    for module in network.modules():
        if isinstance(module, FusedProjections) and module.fused is not None:
            module.fuse()


def unfuse_projections(network: nn.Module) -> None:
    """Undo `fuse_projections`; the weights stay where they are."""
    for module in network.modules():
        if isinstance(module, FusedProjections):
            module.unfuse()


def _fused(tensors: list[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
    """One tensor with the rows of all given ones, and its views that correspond to them."""
    as_bytes = [tensor.view(torch.uint8) if tensor.dtype.itemsize == 1 else tensor for tensor in tensors]
    whole = torch.cat(as_bytes).view(tensors[0].dtype)  # not all devices can concatenate float8
    return whole, _parts(whole, tensors)


def _are_parts(whole: Tensor | None, parts: list[Tensor]) -> bool:
    if whole is None:
        return False
    return all(part.data_ptr() == there.data_ptr() for part, there in zip(parts, _parts(whole, parts), strict=True))


def _parts(whole: Tensor, like: list[Tensor]) -> tuple[Tensor, ...]:
    return tuple(whole.split_with_sizes([len(tensor) for tensor in like]))
