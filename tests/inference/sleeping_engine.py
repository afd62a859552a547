"""An engine that makes plain images, and sleeps forever the first time it comes to a certain place."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inference import GenerationRequest, Picture, Progress, Stage
from inference.request import IsCancelled, OnProgress, OnStage
from inference.weights.modelspec import ANIMA
from tests.fake_picture import drawn

STEPS = 4
PLACES = ("loading", "conditioning", "step 1", "step 3", "decoding", "finishing")


def load(place: str, asleep: Path) -> SleepingEngine:
    """`asleep`: a file that exists once an engine has fallen asleep. Where it exists, no engine falls asleep."""
    engine = SleepingEngine(place, asleep)
    engine.come_to("loading")
    return engine


@dataclass(frozen=True)
class SleepingEngine:
    place: str
    asleep: Path

    name = "sleeping"
    native = ANIMA
    full_pass = None

    def lora_names(self) -> list[str]:
        return []

    def loaded_models(self) -> tuple[str, ...]:
        return (self.name,)

    def turbo_lora(self) -> None:
        return None

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        on_progress: OnProgress,
        cancelled: IsCancelled,
        on_stage: OnStage,
    ) -> list[Picture]:
        on_stage(Stage.CONDITIONING)
        self.come_to("conditioning")
        on_stage(Stage.SAMPLING)
        for step in range(1, STEPS + 1):
            self.come_to(f"step {step}")
            on_progress(Progress(step, STEPS, tuple(range(len(requests))), list))
        on_stage(Stage.DECODING)
        self.come_to("decoding")
        on_stage(Stage.FINISHING)
        self.come_to("finishing")
        return [drawn(request, self.name) for request in requests]

    def come_to(self, place: str) -> None:
        if place == self.place and not self.asleep.exists():
            self.asleep.touch()
            while True:
                time.sleep(60)
