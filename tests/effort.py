"""Bounds on how much work something is, in units of work that is measured at the same moment on the same machine."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def bounded_effort(units: float) -> Iterator[None]:
    """The block may take `units` times the processor time of `_unit`, which is a hundredth of a second or two.

    What takes quadratic time exceeds such a bound by far, and a machine that is slow is slow at both. The unit is
    measured before and after, and the slower one counts.
    """
    before = _unit()
    start = time.process_time()
    yield
    taken = time.process_time() - start
    unit = max(before, _unit())
    assert taken < units * unit, f"it took {taken / unit:.0f} units"


def _unit() -> float:
    """Processor seconds of a fixed piece of work: objects, texts and patterns, as the code under test has them."""
    start = time.process_time()
    numbers = {str(number): [number] for number in range(20_000)}
    text = ", ".join(numbers)
    assert len(re.findall(r"(\d+), (?=\d)", text)) == len(numbers) - 1
    return time.process_time() - start
