"""How long a credit takes on this machine, learnt from the batches it has drawn."""

import math
from collections import deque
from dataclasses import dataclass

_BATCHES_KEPT = 64
_HALF_LIFE = 8  # batches after which one counts half
_OUTLIER = 2.0  # a batch this many times slower or faster than the median is left out


@dataclass(frozen=True)
class _MeasuredBatch:
    credits: float
    seconds: float

    @property
    def rate(self) -> float:
        return self.seconds / self.credits


class Pace:
    """Seconds per credit: the total time of recent batches over their total credits, newer batches counting more.

    A batch whose rate is far from the weighted median (the first after a start, one that hung) is left out, so one
    outlier among several moves nothing, while a without_seed change wins once it holds the weight of the majority.
    """

    def __init__(self) -> None:
        self._batches: deque[_MeasuredBatch] = deque(maxlen=_BATCHES_KEPT)
        self._seconds_per_credit: float | None = None

    @property
    def seconds_per_credit(self) -> float | None:
        """None until the first batch is drawn."""
        return self._seconds_per_credit

    def learn(self, credits: float, seconds: float) -> None:
        """A batch of so many credits took so many seconds. Raises ValueError unless both are above zero."""
        if not (0 < credits < math.inf and 0 < seconds < math.inf):
            raise ValueError(f"A batch of {credits} credits in {seconds} seconds; both must be above zero.")
        self._batches.appendleft(_MeasuredBatch(credits, seconds))
        self._seconds_per_credit = self._typical_rate()

    def estimate(self, credits: float) -> float | None:
        """Seconds that `credits` of work will take. None: nothing was drawn yet, so nobody knows."""
        return None if self._seconds_per_credit is None else credits * self._seconds_per_credit

    def _typical_rate(self) -> float:
        weighted = [(batch, 0.5 ** (age / _HALF_LIFE)) for age, batch in enumerate(self._batches)]
        median = _weighted_median([(batch.rate, weight * batch.credits) for batch, weight in weighted])
        typical = [(batch, weight) for batch, weight in weighted if 1 / _OUTLIER <= batch.rate / median <= _OUTLIER]
        seconds = math.fsum(weight * batch.seconds for batch, weight in typical)
        return seconds / math.fsum(weight * batch.credits for batch, weight in typical)


def _weighted_median(values: list[tuple[float, float]]) -> float:
    """The least value at which half of the weight is reached, of pairs (value, weight)."""
    half = math.fsum(weight for _, weight in values) / 2
    reached = 0.0
    for value, weight in sorted(values):
        reached += weight
        if reached >= half:
            return value
    return max(value for value, _ in values)
