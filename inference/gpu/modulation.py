"""Modulation (shift, scale and gate by noise level), computed for all steps of a batch at once.

For one noise level these are matrix products with a single row, which read a tenth of the transformer's weights to use
each number once. For all levels of a schedule together, they are read only once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

#: The most noise levels computed together, to limit memory: with Anima's sizes a level takes 1 MiB in bfloat16.
LEVELS_PER_BATCH = 64


@dataclass(frozen=True)
class Modulation:
    """The modulation for the noise levels [B] of a batch, or for the one level that all its rows share."""

    #: For each block, [B or 1, 1, 9 width]: shift, scale and gate of self-attention, cross-attention and MLP.
    blocks: tuple[Tensor, ...]
    #: [B or 1, 1, 2 width]: shift and scale of the last layer.
    final: Tensor

    def levels(self) -> Iterator[Modulation]:
        """The modulation of each noise level, as views."""
        parts = zip(*(torch.tensor_split(block, len(block)) for block in self.blocks), strict=True)
        for blocks, final in zip(parts, torch.tensor_split(self.final, len(self.final)), strict=True):
            yield Modulation(blocks, final)


def select_rows(blocks: Sequence[Tensor], rows: Sequence[int]) -> Sequence[Tensor]:
    """The modulation of blocks, as in `Modulation.blocks`, for some rows of the batch."""
    return [block if len(block) == 1 else block[rows] for block in blocks]


class StepModulations:
    """The modulation for each noise level that a sampler evaluates; those of its schedule are computed together."""

    def __init__(
        self, compute: Callable[[Tensor], Modulation], schedule: Sequence[float], device: torch.device
    ) -> None:
        """compute: for noise levels, float32 [B]. schedule: the levels in the order in which they are evaluated."""
        self._compute = compute
        self._device = device
        self._schedule = list(dict.fromkeys(schedule))
        self._known: dict[float, Modulation] = {}
        #: The last level outside of the schedule. The tiles of an image use it one after the other.
        self._alone: dict[float, Modulation] = {}

    def at(self, level: float) -> Modulation:
        """For one noise level. A level outside of the schedule, which some solvers need, is computed alone."""
        if level in self._known:
            return self._known[level]
        if level in self._schedule:
            first = self._schedule.index(level)
            self._known = {}  # free its memory first
            self._known = self._of(self._schedule[first : first + LEVELS_PER_BATCH])
            return self._known[level]
        if level not in self._alone:
            self._alone = self._of([level])
        return self._alone[level]

    def _of(self, levels: Sequence[float]) -> dict[float, Modulation]:
        found = self._compute(torch.tensor(levels, dtype=torch.float32, device=self._device))
        return dict(zip(levels, found.levels(), strict=True))
