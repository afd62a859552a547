"""What a job draws: the bot's own shape of a job's parameters, from an option to the engine's requests and back."""

from __future__ import annotations

import secrets
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from bot.generation.comparison import Comparison
from bot.generation.options import Options
from bot.jobs.queue import QueuedJob
from inference import GenerationRequest, NativeSettings
from storage.jobs import Job

if TYPE_CHECKING:
    from PIL import Image

MAX_NEW_SEED = 2**32 - 1
"""Seeds we choose are short enough to be read and typed; people may give any up to 2**64 - 1."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what one picture looks like. The prompts are final: what the engine gets.

    A `denoise` below 1 starts from the job's source picture.
    """

    prompt: str
    negative_prompt: str
    width: int
    height: int
    steps: int
    cfg_scale: float
    sampler: str
    scheduler: str
    seed: int
    loras: tuple[tuple[str, float], ...] = ()
    denoise: float = 1.0
    variation_seed: int | None = None
    variation_strength: float = 0.0

    def request(self, source: Image.Image | None) -> GenerationRequest:
        return GenerationRequest(
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            width=self.width,
            height=self.height,
            steps=self.steps,
            cfg_scale=self.cfg_scale,
            sampler=self.sampler,
            scheduler=self.scheduler,
            seed=self.seed,
            loras=self.loras,
            image=source,
            denoise=self.denoise,
            variation_seed=self.variation_seed,
            variation_strength=self.variation_strength,
        )

    @property
    def work(self) -> float:
        """What the GPU spends: megapixels x steps x passes."""
        return self.width * self.height / 1e6 * self.steps * _passes(self.cfg_scale)

    def batch_key(self) -> Hashable:
        """Pictures with equal keys can be drawn in one batch."""
        return (
            self.width,
            self.height,
            self.steps,
            self.sampler,
            self.scheduler,
            self.loras,
            self.denoise,
            self.cfg_scale == 1,
        )


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """A job's pictures, and what was asked for, settled: from it the same can be asked for again.

    age_restricted: whether more than safe pictures were allowed where it was asked for.
    comparison: the recipes are its cells, row by row, and their pictures become one labelled grid.
    """

    recipes: tuple[Recipe, ...]
    options: Options = field(default_factory=Options)
    age_restricted: bool = False
    comparison: Comparison | None = None

    @classmethod
    def of(cls, job: Job) -> JobSpec:
        return _DRAWING.validate_python(dict(job.parameters))

    def as_json(self) -> dict[str, Any]:
        """What `of` reads back."""
        parameters: dict[str, Any] = _DRAWING.dump_python(self, mode="json", exclude_defaults=True)
        return parameters

    def requests(self, source: Image.Image | None) -> list[GenerationRequest]:
        return [recipe.request(source) for recipe in self.recipes]

    def cost(self, native: NativeSettings) -> float:
        """Credits: what the GPU spends, 1.0 for a default picture."""
        default = native.megapixels * native.steps * _passes(native.cfg_scale)
        return sum(recipe.work for recipe in self.recipes) / default

    def batch_key(self) -> Hashable:
        """Jobs with equal keys can be drawn in one batch."""
        keys = dict.fromkeys(recipe.batch_key() for recipe in self.recipes)
        return tuple(keys)


_DRAWING = TypeAdapter(JobSpec)


def waiting(job: Job) -> QueuedJob:
    """What the queue has to know of an accepted job. One that came to nothing before is drawn alone the next time."""
    drawing = JobSpec.of(job)
    batch_key = drawing.batch_key() if job.attempts == 0 else ("alone", job.id)
    return QueuedJob(job.id, job.user_id, job.cost, len(drawing.recipes), batch_key)


def new_seed() -> int:
    return secrets.randbelow(MAX_NEW_SEED + 1)


def seeds_from(seed: int | None, count: int) -> tuple[int, ...]:
    """A seed for each picture: those that follow one another from `seed` on, or new ones where none was given."""
    if seed is None:
        return tuple(new_seed() for _ in range(count))
    return tuple((seed + number) % 2**64 for number in range(count))


def _passes(cfg_scale: float) -> int:
    """Guidance runs the network on the negative prompt as well."""
    return 1 if cfg_scale == 1 else 2
