"""How long an engine may say nothing before it is taken for hung.

A hang cannot be told from slowness but by its length. To end an engine that was only slow costs its users a picture,
and to wait for one that hangs costs everybody time; so each stage may take many times what is usual on a slow machine.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from inference.request import Stage


@dataclass(frozen=True)
class Timeouts:
    """Seconds of silence that a stage may have."""

    loading: float = 30 * 60.0
    """Six gigabytes from a slow share of the network (4 MB/s), or a classifier from the hub."""
    conditioning: float = 10 * 60.0
    """LoRA files of gigabytes from such a share; the texts themselves take a second."""
    first_step: float = 15 * 60.0
    """On a GPU the blocks are compiled in it, for minutes; on two CPU cores a step of one picture takes four."""
    step: float = 60.0
    """At least so long, however quick the steps before were: others use the GPU too, and memory may be swapped."""
    decoding: float = 5 * 60.0
    """At least so long for each picture, which may have to be decoded in tiles."""
    finishing: float = 30 * 60.0
    """The first picture waits until the hash of the model's file is known: from such a share, a second loading."""
    steps_missed: float = 20.0
    """Steps and pictures may take so many times the median of the batch's steps, where that is longer."""


TIMEOUT = Timeouts()


class SilenceTimer:
    """An engine's present silence, and what it may last in the stage that the engine is in."""

    def __init__(self, patience: Timeouts, stage: Stage) -> None:
        self._patience = patience
        self._steps: list[float] = []
        self.stage = stage
        self.seconds = 0.0

    def tick(self, seconds: float) -> None:
        """Another so many seconds went by without a word."""
        self.seconds += seconds

    def end_with_stage(self, stage: Stage) -> None:
        """The engine said that it begins with `stage`."""
        if stage is Stage.CONDITIONING:
            self._steps = []
        self.stage = stage
        self.seconds = 0.0

    def step_done(self) -> None:
        """The engine said that a step is done."""
        self.stage = Stage.SAMPLING
        self._steps.append(self.seconds)
        self.seconds = 0.0

    @property
    def limit(self) -> float:
        """Seconds after which the engine is taken for hung."""
        match self.stage:
            case Stage.LOADING:
                return self._patience.loading
            case Stage.CONDITIONING:
                return self._patience.conditioning
            case Stage.SAMPLING:
                return max(self._patience.step, self._by_steps) if self._steps else self._patience.first_step
            case Stage.DECODING:
                return max(self._patience.decoding, self._by_steps)
            case Stage.FINISHING:
                return self._patience.finishing

    @property
    def is_too_long(self) -> bool:
        return self.seconds > self.limit

    @property
    def _by_steps(self) -> float:
        # The lower median: of two steps, the first may be the one in which the blocks were compiled.
        return self._patience.steps_missed * statistics.median_low(self._steps or [0.0])
