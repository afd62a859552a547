"""An engine that draws plain pictures: what EngineProcess offers, without a model, a process or a wait."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from PIL import Image

from inference import Cancelled, EncodedPicture, GenerationRequest, NativeSettings, Progress, Timings
from inference.metadata import Parameters, encode_png
from inference.process import EngineDescription
from inference.request import IsCancelled, OnProgress

NATIVE = NativeSettings(sizes=((64, 64),), steps=4, cfg_scale=4.0, sampler="er_sde", scheduler="simple")
STEP = 0.005


class PretendEngine:
    """Draws at once, or, while it is held, takes one short step after the other until it is let go or cancelled."""

    def __init__(self) -> None:
        self.requests: list[GenerationRequest] = []
        """All that it was asked to draw."""
        self.cancelled = 0
        """How many batches ended because they were cancelled."""
        self._may_finish = threading.Event()
        self._may_finish.set()

    def hold(self) -> None:
        """What is asked for from now on waits; what was let go is not caught again."""
        self._may_finish = threading.Event()

    def let_go(self) -> None:
        self._may_finish.set()

    def start(self) -> EngineDescription:
        return EngineDescription("pretend", NATIVE, loras=(), turbo=None)

    def stop(self) -> None:
        self.let_go()

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        on_progress: OnProgress | None = None,
        cancelled: IsCancelled | None = None,
    ) -> list[EncodedPicture]:
        self.requests += requests
        may_finish = self._may_finish
        while not may_finish.wait(STEP):
            if on_progress is not None:
                on_progress(Progress(1, NATIVE.steps, tuple(range(len(requests))), lambda: []))
            if cancelled is not None and cancelled():
                self.cancelled += 1
                raise Cancelled
        return [_drawn(request) for request in requests]


def _drawn(request: GenerationRequest) -> EncodedPicture:
    colour = (request.seed % 256, request.seed // 256 % 256, 128)
    parameters = Parameters(
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        width=request.width,
        height=request.height,
        steps=request.steps,
        cfg_scale=request.cfg_scale,
        sampler=request.sampler,
        scheduler=request.scheduler,
        seed=request.seed,
        model="pretend",
    )
    png = encode_png(Image.new("RGB", (request.width, request.height), colour), parameters)
    return EncodedPicture(png, request.width, request.height, request.seed, Timings(0.0, 0.0, 0.0))
