"""An engine that draws plain pictures: what EngineProcess offers, without a model, a process or a wait."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

from PIL import Image

from inference import Cancelled, EncodedImage, EngineDescription, GenerationRequest, GpuMemory, NativeSettings, Progress
from inference.process import EngineDied
from inference.request import IsCancelled, OnProgress, TurboLora
from tests.fake_picture import drawn

NATIVE = NativeSettings(sizes=((64, 64),), steps=4, cfg_scale=4.0, sampler="er_sde", scheduler="simple")
STEP = 0.005


class FakeEngine:
    """Draws at once, or, while it is held, takes one short step after the other until it is let go or cancelled."""

    def __init__(self) -> None:
        self.requests: list[GenerationRequest] = []
        """All that it was asked to draw."""
        self.batches: list[list[GenerationRequest]] = []
        """The same, batch by batch."""
        self.deadly: str | None = None
        """A word in a prompt that the engine's process dies of."""
        self.cancelled = 0
        """How many batches ended because they were cancelled."""
        self.turbo: TurboLora | None = None
        self.labels: Mapping[str, float] = {}
        """What the classifier says of every picture."""
        self.gpu_memory: GpuMemory | None = None
        """What every batch needs."""
        self.errors: list[Exception] = []
        """What the next batches end in."""
        self.noise = False
        """Whether pictures are noise, which makes their files large."""
        self.starts = 0
        self.loaded = threading.Event()
        self.loaded.set()
        self._may_finish = threading.Event()
        self._may_finish.set()

    def hold(self) -> None:
        """What is asked for from now on waits; what was let go is not caught again."""
        self._may_finish = threading.Event()

    def let_go(self) -> None:
        self._may_finish.set()

    def start(self) -> EngineDescription:
        self.loaded.wait()
        self.starts += 1
        return EngineDescription("pretend", NATIVE, loras=(), turbo=self.turbo)

    def stop(self) -> None:
        self.let_go()

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        on_progress: OnProgress | None = None,
        cancelled: IsCancelled | None = None,
    ) -> list[EncodedImage]:
        self.requests += requests
        self.batches.append(list(requests))
        if self.errors:
            raise self.errors.pop(0)
        may_finish = self._may_finish
        previews = [Image.new("RGB", (32, 32), "grey")] * len(requests)
        while not may_finish.wait(STEP):
            if on_progress is not None:
                on_progress(Progress(1, NATIVE.steps, tuple(range(len(requests))), lambda: previews))
            if cancelled is not None and cancelled():
                self.cancelled += 1
                raise Cancelled
        if self.deadly is not None and any(self.deadly in request.prompt for request in requests):
            raise EngineDied("The engine's process was ended by SIGSEGV.")
        return [
            replace(_drawn(request, self.noise), labels=self.labels, gpu_memory=self.gpu_memory) for request in requests
        ]


def _drawn(request: GenerationRequest, noise: bool) -> EncodedImage:
    image = None
    if noise:
        pixels = random.Random(request.seed).randbytes(3 * request.width * request.height)
        image = Image.frombytes("RGB", (request.width, request.height), pixels)
    picture = drawn(request, "pretend", image)
    return EncodedImage(picture.png(), request.width, request.height, request.seed, picture.timings)
