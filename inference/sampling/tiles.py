"""Draws images larger than a model was trained for: in overlapping tiles, averaged at every step.

MultiDiffusion, arXiv 2302.08113; at every step the tiles lie elsewhere, so that no border stays in its place. A model
that sees a tile alone would draw all of the prompt in it, so where there is an image to start from, its coarse
structure holds at every step (as in ILVR, arXiv 2108.02938).
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

#: What is coarser than this part of a tile's shorter side is kept.
COARSE = 1 / 8


def in_tiles(denoiser: Denoiser, height: int, width: int, on_tile: Callable[[int], None] | None = None) -> Denoiser:
    """A denoiser that asks `denoiser` about tiles of x, and averages its answers where they overlap.

    height, width: of a tile, in latent positions. on_tile: called before each question with the tile's number; with it
    the tiles stay where they are, for one who remembers something about each. An x that fits one tile is asked about
    as a whole. Pairs (guided, unguided) are averaged each. Made again for every image, so that each begins alike.
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
    """A denoiser whose answers have the coarse structure of an image, and of `denoiser` only what is finer.

    latent: of that image, [B, 16, h, w]. side: the shorter one of a tile, in latent positions.
    """
    size = max(1, round(COARSE * side))

    def kept(x0: Tensor) -> Tensor:
        return x0 + _coarse(latent - x0, size)

    def anchored(x: Tensor, sigma: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        answer = denoiser(x, sigma)
        return (kept(answer[0]), kept(answer[1])) if isinstance(answer, tuple) else kept(answer)

    return anchored


def _coarse(latent: Tensor, size: int) -> Tensor:
    """What is left of a latent if every `size` positions are one; the last may be fewer."""
    means = F.avg_pool2d(latent, size, ceil_mode=True, count_include_pad=False)
    height, width = latent.shape[-2:]
    return F.interpolate(means, scale_factor=size, mode="bilinear")[..., :height, :width]
