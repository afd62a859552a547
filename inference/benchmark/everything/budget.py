"""Shares minutes among the parts of a run: if time is short, parts are repeated less often, but none is left out."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from inference.benchmark.timing import Repeats


@dataclass
class TimeBudget:
    """Each part may take an equal share of what is left when it begins; what it does not need is for the later ones.

    A part is always measured once, so a budget that is too short is exceeded.
    """

    seconds: float
    parts: int
    most: int
    _began: float = field(default_factory=lambda: time.monotonic())
    _begun: int = 0

    @classmethod
    def unlimited(cls, most: int) -> TimeBudget:
        return cls(math.inf, 1, most)

    def next_part(self) -> Repeats:
        """The repetitions of the part that begins now."""
        now = time.monotonic()
        left = self._began + self.seconds - now
        share = left / max(1, self.parts - self._begun)
        self._begun += 1
        return Repeats(self.most, now + share)

    @property
    def spent(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began
