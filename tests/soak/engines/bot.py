"""`anima run` with fake engines of different speeds, each in a process of its own, and a log of its queue.

SLOWNESS has a number for each engine: how many times as long as the fastest it takes. SCALE multiplies every time. What
enters and leaves the queue is a line of JSON in the file named by QUEUE_LOG, with the wait that was predicted.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bot.jobs.queue import Consumer, FairQueue, QueuedJob
from bot.jobs.throughput import Forecast
from inference import Cancelled, GenerationRequest, NativeSettings, Picture, Progress, Stage
from inference.process import EngineProcess
from inference.request import IsCancelled, OnProgress, OnStage
from inference.watchdog import Timeouts
from tests.bot.jobs.virtual_engines import PER_BATCH, PER_CREDIT
from tests.fake_picture import drawn

#: Seconds of silence after which a frozen engine is ended: short, but longer than a busy machine's pauses.
SILENCE = 8.0
TIMEOUTS = Timeouts(
    loading=60.0, conditioning=SILENCE, first_step=SILENCE, step=SILENCE, decoding=SILENCE, finishing=SILENCE
)
#: The longest step, and so how long a cancellation takes.
STEP_SECONDS = 0.25


class SlowedFakeEngine:
    """Takes `slowness` times as long as the fastest, and draws plain images of 64x64."""

    name = "slowed"
    native = NativeSettings(((64, 64),), 4, 4.0, "er_sde", "simple")
    full_pass = None

    def __init__(self, slowness: float) -> None:
        self._slowness = slowness

    def lora_names(self) -> list[str]:
        return []

    def loaded_models(self) -> tuple[str, ...]:
        return (self.name,)

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
        seconds = self._slowness * (PER_BATCH + PER_CREDIT * len(requests))
        steps = max(1, round(seconds / STEP_SECONDS))
        ends = time.monotonic() + seconds
        on_stage(Stage.SAMPLING)
        for step in range(1, steps + 1):
            time.sleep(max(0.0, ends - time.monotonic()) / (steps - step + 1))
            on_progress(Progress(step, steps, tuple(range(len(requests))), lambda: []))
            if cancelled():
                raise Cancelled
        return [drawn(request, self.name) for request in requests]


async def slowed_engines(_settings: object, _needs_gpu: bool) -> dict[str, EngineProcess]:
    scale = float(os.environ["SCALE"])
    return {
        f"engine-{number}": EngineProcess(partial(SlowedFakeEngine, scale * float(slowness)), TIMEOUTS)
        for number, slowness in enumerate(os.environ["SLOWNESS"].split(","))
    }


def log_queue(path: Path) -> None:
    """Log each job that is put, with the seconds that are predicted for it, each batch taken, and each job put back."""
    put, take, take_now, put_back = FairQueue.put, FairQueue.take, FairQueue.take_now, FairQueue.put_back
    forecast_init = Forecast.__init__
    forecasts: list[Forecast] = []
    log = path.open("w", encoding="utf-8", buffering=1)

    def write(**line: object) -> None:
        print(json.dumps({"at": time.time(), **line}), file=log)

    def kept(self: Forecast, *args: Any, **kwargs: Any) -> None:
        forecast_init(self, *args, **kwargs)
        forecasts.append(self)

    def logged_put(self: FairQueue, waiting: QueuedJob) -> None:
        put(self, waiting)
        predicted = forecasts[-1].seconds_until_drawn(waiting.job_id)
        write(put=waiting.job_id, user=waiting.user_id, credits=waiting.cost, predicted=predicted)

    async def logged_take(self: FairQueue, consumer: Consumer) -> tuple[QueuedJob, ...]:
        batch = await take(self, consumer)
        write(take=[waiting.job_id for waiting in batch])
        return batch

    def logged_take_now(self: FairQueue, consumer: Consumer) -> tuple[QueuedJob, ...]:
        if batch := take_now(self, consumer):
            write(take=[waiting.job_id for waiting in batch])
        return batch

    def logged_put_back(self: FairQueue, waiting: QueuedJob) -> None:
        put_back(self, waiting)
        write(back=waiting.job_id)

    FairQueue.put, FairQueue.put_back = logged_put, logged_put_back  # type: ignore[method-assign]
    FairQueue.take, FairQueue.take_now = logged_take, logged_take_now  # type: ignore[method-assign]
    Forecast.__init__ = kept  # type: ignore[method-assign]


if __name__ == "__main__":
    import bot.app  # not at the top: the engines' processes import this file too
    from bot.__main__ import main
    from tests.end_to_end.patient_bot import be_patient

    be_patient()
    bot.app.local_engines = slowed_engines  # type: ignore[assignment]
    log_queue(Path(os.environ["QUEUE_LOG"]))
    main(["run"])
