"""`anima run` with a fake engine, in a process of its own like the real one.

An image whose prompt says "takes 3 s" takes three seconds, any other PICTURE_SECONDS (a few hundredths of a second).
One whose prompt says "held" is not finished before the file RELEASED exists in the bot's folder.
LOADING_SECONDS is how long the engine loads. The moment of each step (monotonic) is a line in the file DRAWING_LOG, if
that is set.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

from inference import Cancelled, GenerationRequest, NativeSettings, Picture, Progress, Stage
from inference.request import IsCancelled, OnProgress, OnStage
from tests.fake_picture import drawn

STEPS = 4
RELEASED = Path("released")
PICTURE_SECONDS = float(os.environ.get("PICTURE_SECONDS", "0.04"))
#: The longest step, and so how long a cancellation takes.
STEP_SECONDS = 0.05


class TimedFakeEngine:
    name = "timed"
    native = NativeSettings(sizes=((64, 64),), steps=STEPS, cfg_scale=4.0, sampler="er_sde", scheduler="simple")
    full_pass = None

    def lora_names(self) -> list[str]:
        return []

    def turbo_lora(self) -> None:
        return None

    def loaded_models(self) -> tuple[str, ...]:
        return ()

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        on_progress: OnProgress | None = None,
        cancelled: IsCancelled | None = None,
        on_stage: OnStage | None = None,
    ) -> list[Picture]:
        assert on_progress is not None and cancelled is not None and on_stage is not None
        is_held = any("held" in request.prompt for request in requests)
        seconds = sum(map(seconds_for, requests))
        steps = max(STEPS, int(seconds / STEP_SECONDS))
        on_stage(Stage.SAMPLING)
        step = 0
        while step < steps or (is_held and not RELEASED.exists()):
            step = min(step + 1, steps)
            time.sleep(seconds / steps)
            _log_step()
            on_progress(Progress(step, steps, tuple(range(len(requests))), lambda: []))
            if cancelled():
                raise Cancelled
        return [drawn(request, self.name) for request in requests]


def _log_step() -> None:
    if log := os.environ.get("DRAWING_LOG"):
        with open(log, "a", encoding="utf-8") as lines:
            print(time.monotonic(), file=lines)


def seconds_for(request: GenerationRequest) -> float:
    said = re.search(r"takes (\d+) s", request.prompt)
    return float(said[1]) if said is not None else PICTURE_SECONDS


def load(*_: object, **__: object) -> TimedFakeEngine:
    time.sleep(float(os.environ.get("LOADING_SECONDS", "0")))
    return TimedFakeEngine()


if __name__ == "__main__":
    import inference.process  # not at the top: the engine's process imports this file too
    from bot.__main__ import main
    from inference.startup import preparation
    from tests.end_to_end.patient_bot import be_patient

    preparation.IMPORTS = "tests.soak.fake_imports"
    be_patient()
    inference.process.load_engine = load
    main(["run"])
