"""A fake of EngineProcess, without a model or a process: it generates plain images at once."""

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
    """Generates at once; while it is held, it takes one short step after the other until released or cancelled."""

    def __init__(self) -> None:
        #: All requests so far.
        self.requests: list[GenerationRequest] = []
        #: The same by batch.
        self.batches: list[list[GenerationRequest]] = []
        #: The engine's process dies of a prompt with this word.
        self.deadly: str | None = None
        #: The number of cancelled batches.
        self.cancelled = 0
        self.turbo: TurboLora | None = None
        #: Of the model's file, as an engine on another machine says it; and the LoRAs there.
        self.model_hash = ""
        self.loras: tuple[str, ...] = ()
        self.classifies = False
        #: The classifier's result for every image.
        self.labels: Mapping[str, float] = {}
        #: What could not be done as it was asked for, of every image.
        self.notes: tuple[str, ...] = ()
        #: The memory that every batch uses.
        self.gpu_memory: GpuMemory | None = None
        #: The next batches raise these errors.
        self.errors: list[Exception] = []
        #: Why it is dead, found when it is looked at next.
        self.death: Exception | None = None
        #: Whether images are noise, which makes their files large.
        self.noise = False
        self.starts = 0
        #: The models on its device.
        self.loaded_models: tuple[str, ...] = ("fake",)
        self.loaded = threading.Event()
        self.loaded.set()
        self._may_finish = threading.Event()
        self._may_finish.set()

    def hold(self) -> None:
        """Make batches wait that start from now on."""
        self._may_finish = threading.Event()

    def let_go(self) -> None:
        self._may_finish.set()

    def start(self) -> EngineDescription:
        self.loaded.wait()
        self.starts += 1
        return EngineDescription(
            "fake",
            NATIVE,
            loras=self.loras,
            turbo=self.turbo,
            loaded=self.loaded_models,
            model_hash=self.model_hash,
            classifies=self.classifies,
        )

    def check(self) -> None:
        if self.death is not None:
            death, self.death = self.death, None
            raise death

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
            replace(_drawn(request, self.noise), labels=self.labels, notes=self.notes, gpu_memory=self.gpu_memory)
            for request in requests
        ]


def _drawn(request: GenerationRequest, noise: bool) -> EncodedImage:
    image = None
    if noise:
        pixels = random.Random(request.seed).randbytes(3 * request.width * request.height)
        image = Image.frombytes("RGB", (request.width, request.height), pixels)
    picture = drawn(request, "fake", image)
    return EncodedImage(picture.png(), request.width, request.height, request.seed, picture.timings)
