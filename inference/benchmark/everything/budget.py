"""Divides minutes among the parts of a run: if time is short, parts are repeated less often, but none is left out."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from inference.benchmark.timing import Repeats


@dataclass
class TimeBudget:
    """Gives each part an equal share of the time left when it begins; later parts get the time that it does not need.

    A part is always measured once, so a budget that is too short is exceeded.
    """

    seconds: float
    parts: int
    max_repeats: int
    _started_at: float = field(default_factory=lambda: time.monotonic())
    _parts_started: int = 0

    @classmethod
    def unlimited(cls, max_repeats: int) -> TimeBudget:
        return cls(math.inf, 1, max_repeats)

    def next_part(self) -> Repeats:
        """The repetitions of the part that begins now."""
        now = time.monotonic()
        left = self._started_at + self.seconds - now
        share = left / max(1, self.parts - self._parts_started)
        self._parts_started += 1
        return Repeats(self.max_repeats, now + share)

    @property
    def spent(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._started_at
