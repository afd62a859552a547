"""First-block caching: in steps in which the first block does nearly what it did, the others are taken to as well.

The first block of a transformer is cheap to ask and tells how far the others' results would be from those of the last
step that was computed in full: where what it adds to the residual stream has changed by less than `THRESHOLD`, what
the others added then is added again. Each row of a batch (an image, guided or not) is decided on for itself. The
observation is that of TeaCache (Liu et al. 2024, arXiv 2411.19108), which looks at the first block's input; looking at
its output became known as first-block cache (ParaAttention, 2024).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

#: How much the first block's part may change, relative to itself, until all blocks are computed again.
THRESHOLD = 0.2
#: So many calls from the first on, in which an image takes shape, are always computed in full.
WARMUP_CALLS = 3
#: No more calls than this in a row are left out.
MAX_SKIPPED = 2


@dataclass
class _Slot:
    """What was computed in full last, for each row: float32 [rows, tokens, width]."""

    first: Tensor
    rest: Tensor
    left_out: list[int]


@dataclass
class BlockCache:
    """Of one batch of images, from its first step to its last. `use_tile` tells apart what is drawn in turns."""

    threshold: float = THRESHOLD
    _tile: int = 0
    _calls: dict[int, int] = field(default_factory=dict)
    _slots: dict[int, _Slot] = field(default_factory=dict)

    def use_tile(self, number: int) -> None:
        """The next call is about this tile of the image."""
        self._tile = number

    def run(
        self,
        tokens: Tensor,
        first: Callable[[Tensor], Tensor],
        rest: Callable[[Tensor, list[int]], Tensor],
    ) -> Tensor:
        """All blocks' result for the residual stream `tokens`, float32 [rows, tokens, width].

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
        """The rows that are to be computed again. On a GPU this waits for the first block."""
        difference = (change - slot.first).abs().mean(dim=(1, 2)) / slot.first.abs().mean(dim=(1, 2))
        return [
            row
            for row, (moved, left_out) in enumerate(zip(difference.tolist(), slot.left_out, strict=True))
            if not moved < self.threshold or left_out >= MAX_SKIPPED
        ]
