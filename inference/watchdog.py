"""How long an engine may be silent before it counts as hung.

Only the length of its silence distinguishes a hang from slowness. Ending an engine that is merely slow loses an image;
waiting for one that hangs costs everybody time. So each stage may take many times as long as usual on a slow machine.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from inference.request import Stage


@dataclass(frozen=True)
class Timeouts:
    """Seconds that each stage may be silent."""

    #: Six gigabytes from a slow network share (4 MB/s), or a classifier from the hub.
    loading: float = 30 * 60.0
    #: LoRA files of gigabytes from such a share; encoding the prompts takes a second.
    conditioning: float = 10 * 60.0
    #: On a GPU this includes compiling the blocks, which takes minutes; on two CPU cores a step takes four minutes.
    first_step: float = 15 * 60.0
    #: At least this long, however quick earlier steps were: other programs use the GPU, and memory may be swapped.
    step: float = 60.0
    #: At least this long for each image, which may have to be decoded in tiles.
    decoding: float = 5 * 60.0
    #: The first image waits for the hash of the model's file, which on such a share takes as long as loading.
    finishing: float = 30 * 60.0
    #: Steps and images may take this many times the median of the batch's steps, where that is longer.
    median_steps: float = 20.0


DEFAULT_TIMEOUTS = Timeouts()


class SilenceTimer:
    """How long an engine has been silent, and how long it may be silent in its current stage."""

    def __init__(self, timeouts: Timeouts, stage: Stage) -> None:
        self._timeouts = timeouts
        self._steps: list[float] = []
        self.stage = stage
        self.seconds = 0.0

    def tick(self, seconds: float) -> None:
        """Add seconds that passed in silence."""
        self.seconds += seconds

    def stage_started(self, stage: Stage) -> None:
        """The engine reported the start of a stage."""
        if stage is Stage.CONDITIONING:
            self._steps = []
        self.stage = stage
        self.seconds = 0.0

    def step_done(self) -> None:
        """The engine reported that a step is done."""
        self.stage = Stage.SAMPLING
        self._steps.append(self.seconds)
        self.seconds = 0.0

    @property
    def limit(self) -> float:
        """Seconds after which the engine counts as hung."""
        match self.stage:
            case Stage.LOADING:
                return self._timeouts.loading
            case Stage.CONDITIONING:
                return self._timeouts.conditioning
            case Stage.SAMPLING:
                return max(self._timeouts.step, self._step_limit) if self._steps else self._timeouts.first_step
            case Stage.DECODING:
                return max(self._timeouts.decoding, self._step_limit)
            case Stage.FINISHING:
                return self._timeouts.finishing

    @property
    def is_too_long(self) -> bool:
        return self.seconds > self.limit

    @property
    def _step_limit(self) -> float:
        # The lower median: of two steps, the first may have included compiling the blocks.
        return self._timeouts.median_steps * statistics.median_low(self._steps or [0.0])
