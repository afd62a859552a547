"""What a job draws: the bot's own shape of a job's parameters, from an option to the engine's requests and back."""

from __future__ import annotations

import secrets
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from bot.queue import Waiting
from inference import GenerationRequest, NativeSettings
from storage.jobs import Job

LARGEST_SEED = 2**63 - 1
"""Seeds we choose fit a database's integer; people may give any up to 2**64 - 1."""


@dataclass(frozen=True)
class Drawing:
    """Everything that decides what a job's pictures look like. The prompts are final: what the engine gets."""

    prompt: str
    negative_prompt: str
    width: int
    height: int
    steps: int
    cfg_scale: float
    sampler: str
    scheduler: str
    seeds: tuple[int, ...]
    """One for each picture."""
    loras: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, job: Job) -> Drawing:
        return _DRAWING.validate_python(dict(job.parameters))

    def as_json(self) -> dict[str, Any]:
        """What `of` reads back."""
        parameters: dict[str, Any] = _DRAWING.dump_python(self, mode="json")
        return parameters

    def requests(self) -> list[GenerationRequest]:
        return [
            GenerationRequest(
                prompt=self.prompt,
                negative_prompt=self.negative_prompt,
                width=self.width,
                height=self.height,
                steps=self.steps,
                cfg_scale=self.cfg_scale,
                sampler=self.sampler,
                scheduler=self.scheduler,
                seed=seed,
                loras=self.loras,
            )
            for seed in self.seeds
        ]

    def cost(self, native: NativeSettings) -> float:
        """Credits: what the GPU spends, megapixels x steps x passes x pictures, 1.0 for a default picture."""
        spent = self.width * self.height / 1e6 * self.steps * _passes(self.cfg_scale) * len(self.seeds)
        default = native.megapixels * native.steps * _passes(native.cfg_scale)
        return spent / default

    def batch_key(self) -> Hashable:
        """Jobs with equal keys can be drawn in one batch."""
        return (
            self.width,
            self.height,
            self.steps,
            self.sampler,
            self.scheduler,
            self.loras,
            self.cfg_scale == 1,
        )


_DRAWING = TypeAdapter(Drawing)


def waiting(job: Job) -> Waiting:
    """What the queue has to know of an accepted job."""
    drawing = Drawing.of(job)
    return Waiting(job.id, job.user_id, job.cost, len(drawing.seeds), drawing.batch_key())


def new_seed() -> int:
    return secrets.randbelow(LARGEST_SEED + 1)


def _passes(cfg_scale: float) -> int:
    """Guidance runs the network on the negative prompt as well."""
    return 1 if cfg_scale == 1 else 2
