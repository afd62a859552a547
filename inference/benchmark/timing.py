"""Times several calls in turns, so that other load affects them alike."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Repeats:
    """How often something is timed: `max_repeats` times, or until the next would end after `until` (monotonic clock).

    It is always timed at least once.
    """

    max_repeats: int
    until: float = math.inf

    def another(self, done: int, seconds: float) -> bool:
        """Whether one more repetition that takes `seconds` is allowed."""
        return done < 1 or (done < self.max_repeats and time.monotonic() + seconds <= self.until)


def alternate(calls: Sequence[Callable[[], object]], repeats: Repeats, device: torch.device) -> list[Durations]:
    """Time the calls in turns, ABAB…, synchronizing with the device before and after each."""
    laps: list[list[tuple[float, float]]] = [[] for _ in calls]
    done, last = 0, 0.0
    while repeats.another(done, last):
        for call, own in zip(calls, laps, strict=True):
            own.append(time_call(call, device))
        done, last = done + 1, sum(own[-1][0] for own in laps)
    return [Durations(*zip(*own, strict=True)) for own in laps]


def time_call(call: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Wall-clock seconds, and processor seconds."""
    wait(device)
    start, processor_start = time.perf_counter(), time.process_time()
    call()
    wait(device)
    return time.perf_counter() - start, time.process_time() - processor_start


@dataclass(frozen=True)
class Durations:
    """The repetitions of one call."""

    seconds: tuple[float, ...]
    #: Processor time of all threads of the process together.
    processor_seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        return quartiles(self.seconds)


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """The first and the third quartile."""
    if len(values) == 1:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
