"""`anima run` as it is, but for its engine, which only pretends to draw, in its own process as ever.

A picture whose prompt says "takes 3 s" takes three seconds, any other a few hundredths of one. The engine takes as many
seconds to load as LOADING_SECONDS says.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence

from PIL import Image

from inference import Cancelled, GenerationRequest, NativeSettings, Picture, Progress, Stage, Timings
from inference.metadata import Parameters
from inference.request import IsCancelled, OnProgress, OnStage

STEPS = 4
PICTURE_SECONDS = 0.04
STEP_SECONDS = 0.05
"""The most that a step takes: those who cancel wait no longer."""


class PretendingEngine:
    name = "pretending"
    native = NativeSettings(sizes=((64, 64),), steps=STEPS, cfg_scale=4.0, sampler="er_sde", scheduler="simple")

    def lora_names(self) -> list[str]:
        return []

    def turbo_lora(self) -> None:
        return None

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        on_progress: OnProgress | None = None,
        cancelled: IsCancelled | None = None,
        on_stage: OnStage | None = None,
    ) -> list[Picture]:
        assert on_progress is not None and cancelled is not None and on_stage is not None
        seconds = sum(map(seconds_for, requests))
        steps = max(STEPS, int(seconds / STEP_SECONDS))
        on_stage(Stage.SAMPLING)
        for step in range(1, steps + 1):
            time.sleep(seconds / steps)
            on_progress(Progress(step, steps, tuple(range(len(requests))), lambda: []))
            if cancelled():
                raise Cancelled
        return [drawn(request) for request in requests]


def seconds_for(request: GenerationRequest) -> float:
    said = re.search(r"takes (\d+) s", request.prompt)
    return float(said[1]) if said is not None else PICTURE_SECONDS


def drawn(request: GenerationRequest) -> Picture:
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
        model="pretending",
    )
    image = Image.new("RGB", (request.width, request.height), colour)
    return Picture(image, None, request, Timings(0.0, 0.0, 0.0), parameters)  # type: ignore[arg-type]


def load(*_: object) -> PretendingEngine:
    time.sleep(float(os.environ.get("LOADING_SECONDS", "0")))
    return PretendingEngine()


if __name__ == "__main__":
    import bot.client  # not at the top: the engine's process imports this file too
    from bot.__main__ import main

    bot.client.load_engine = load
    main(["run"])
