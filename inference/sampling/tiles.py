"""Draws images larger than a model was trained for, in overlapping tiles that are averaged at every step.

This is MultiDiffusion (arXiv 2302.08113), with tiles that move at every step so that no border stays in one place. A
model that sees only one tile would draw the whole prompt in it. So if there is an image to start from, its coarse
structure is kept at every step (as in ILVR, arXiv 2108.02938).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import torch
import torch.nn.functional as F
from torch import Tensor

from inference.sampling.samplers import Denoiser
from inference.tiling.average import TileAverage
from inference.tiling.layout import Tiles

#: Structure that is coarser than this part of a tile's shorter side is kept.
COARSE = 1 / 8


def in_tiles(denoiser: Denoiser, height: int, width: int, on_tile: Callable[[int], None] | None = None) -> Denoiser:
    """A denoiser that calls `denoiser` for each tile of x, and averages the results where tiles overlap.

    height, width: of a tile, in latent positions. on_tile: called before each tile with its number; the tiles then do
    not move, so that callers can cache something for each. An x that fits into one tile is denoised as a whole. Of
    pairs (guided, unguided), each part is averaged. Make a new one for every image, so that its tiles start alike.
    """
    turns = count()

    def tiled(x: Tensor, sigma: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        turn = next(turns) if on_tile is None else 0
        tiles = Tiles.to_draw(x.shape[-2], x.shape[-1], height, width, turn)
        if len(tiles) == 1:
            return denoiser(x, sigma)
        averages: list[tuple[TileAverage, Tensor]] = []
        is_pair = False
        for number, (rows, columns) in enumerate(tiles):
            if on_tile is not None:
                on_tile(number)
            answer = denoiser(x[..., rows, columns], sigma)
            is_pair = isinstance(answer, tuple)
            parts = answer if isinstance(answer, tuple) else (answer,)
            if not averages:
                totals = [torch.zeros_like(x) for _ in parts]
                averages = [(TileAverage(tiles, total), total) for total in totals]
            for (average, _), part in zip(averages, parts, strict=True):
                average.add(rows, columns, part)
        means = [total for _, total in averages]
        return (means[0], means[1]) if is_pair else means[0]

    return tiled


def keeping_coarse(denoiser: Denoiser, latent: Tensor, side: int) -> Denoiser:
    """A denoiser that keeps the coarse structure of an image, and takes only finer structure from `denoiser`.

    latent: of that image, [B, 16, h, w]. side: a tile's shorter side, in latent positions.
    """
    size = max(1, round(COARSE * side))

    def kept(x0: Tensor) -> Tensor:
        return x0 + _coarse(latent - x0, size)

    def anchored(x: Tensor, sigma: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        answer = denoiser(x, sigma)
        return (kept(answer[0]), kept(answer[1])) if isinstance(answer, tuple) else kept(answer)

    return anchored


def _coarse(latent: Tensor, size: int) -> Tensor:
    """Average squares of `size` positions (the last may be smaller), and interpolate back to the latent's size."""
    means = F.avg_pool2d(latent, size, ceil_mode=True, count_include_pad=False)
    height, width = latent.shape[-2:]
    return F.interpolate(means, scale_factor=size, mode="bilinear")[..., :height, :width]
