"""First-block caching: if the first block's output hardly changes in a step, the other blocks are skipped.

A transformer's first block is cheap and predicts how far the other blocks' results are from those of the last step
computed in full. If its addition to the residual stream has changed by less than `THRESHOLD`, the others' cached
addition is used again. Each row of a batch (an image, guided or not) is decided separately. TeaCache (Liu et al. 2024,
arXiv 2411.19108) compares the first block's input; comparing its output is known as first-block cache (ParaAttention,
2024).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

#: Relative change of the first block's addition from which all blocks are computed again.
THRESHOLD = 0.2
#: This many first calls, in which an image takes shape, are always computed in full.
WARMUP_CALLS = 3
#: The most calls in a row that are skipped.
MAX_SKIPPED = 2


@dataclass
class _Slot:
    """The last full computation: additions to the residual stream, float32 [rows, tokens, width]."""

    first: Tensor
    rest: Tensor
    left_out: list[int]


@dataclass
class BlockCache:
    """The cache of one batch of images, from its first step to its last. Each tile has its own, see `use_tile`."""

    threshold: float = THRESHOLD
    _tile: int = 0
    _calls: dict[int, int] = field(default_factory=dict)
    _slots: dict[int, _Slot] = field(default_factory=dict)

    def use_tile(self, number: int) -> None:
        """Make the next `run` use this tile's cache."""
        self._tile = number

    def run(
        self,
        tokens: Tensor,
        first: Callable[[Tensor], Tensor],
        rest: Callable[[Tensor, list[int]], Tensor],
    ) -> Tensor:
        """The result of all blocks for the residual stream `tokens`, float32 [rows, tokens, width].

        first: the first block. rest: the others, for the rows in a list.
        """
        after = first(tokens)
        change = after - tokens
        slot = self._slots.get(self._tile)
        calls = self._calls[self._tile] = self._calls.get(self._tile, 0) + 1
        rows = list(range(len(tokens)))
        if slot is None or calls <= WARMUP_CALLS:
            done = rest(after, rows)
            self._slots[self._tile] = _Slot(change, done - after, [0 for _ in rows])
            return done
        stale = self._stale(slot, change)
        for row in rows:
            slot.left_out[row] = 0 if row in stale else slot.left_out[row] + 1
        if len(stale) == len(rows):
            done = rest(after, rows)
            slot.first, slot.rest = change, done - after
            return done
        if stale:
            slot.first[stale] = change[stale]
            slot.rest[stale] = rest(after[stale], stale) - after[stale]
        return after + slot.rest

    def _stale(self, slot: _Slot, change: Tensor) -> list[int]:
        """The rows to compute again. On a GPU this waits for the first block."""
        difference = (change - slot.first).abs().mean(dim=(1, 2)) / slot.first.abs().mean(dim=(1, 2))
        return [
            row
            for row, (moved, left_out) in enumerate(zip(difference.tolist(), slot.left_out, strict=True))
            if not moved < self.threshold or left_out >= MAX_SKIPPED
        ]
