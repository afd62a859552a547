"""`JobSpec`: the recipes of a job, from the database to the engine's requests and back."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from bot.generation.comparison import Comparison
from bot.generation.options import Options
from bot.generation.recipe import Recipe, passes
from bot.generation.redraw.area import Area
from inference import GenerationRequest, NativeSettings
from inference.solver_settings import network_calls
from storage.jobs import Job

if TYPE_CHECKING:
    from PIL import Image

#: The smallest cost that the database keeps: a tiny image of one step is hardly any work.
MIN_COST = 0.001
#: The name under which `in_own_server` is stored.
IN_OWN_SERVER = "in_own_server"


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """A job's images as recipes, and everything needed to repeat it.

    age_restricted: whether pictures needed not be safe where it was requested.
    comparison: the recipes are its cells, row by row, and their pictures become one labelled grid.
    guild_locale: the server's language, if everybody there sees the job's message.
    usual_model: the default model there at that time.
    area: the part of the source image that is redrawn; None for all of it.
    in_own_server: whether it was requested in a server that the bot is a member of, not just by a user's installation.
    by_token_only: the bot is a member neither of that server nor of that conversation, so it can reach the job's
        message only with the interaction's token.
    """

    recipes: tuple[Recipe, ...]
    options: Options = field(default_factory=Options)
    age_restricted: bool = False
    comparison: Comparison | None = None
    guild_locale: str | None = None
    in_own_server: bool = False
    by_token_only: bool = False
    usual_model: str = ""
    area: Area | None = None

    @staticmethod
    def is_by_token_only(job: Job) -> bool:
        """`by_token_only` of a job, without parsing the rest."""
        return bool(job.parameters.get("by_token_only"))

    @classmethod
    def of(cls, job: Job) -> JobSpec:
        return _JOB_SPEC.validate_python(dict(job.parameters))

    def as_json(self) -> dict[str, Any]:
        """JSON that `of` reads."""
        parameters: dict[str, Any] = _JOB_SPEC.dump_python(self, mode="json", exclude_defaults=True)
        return parameters

    def requests(self, source: Image.Image | None, mask: Image.Image | None = None) -> list[GenerationRequest]:
        """Slow if only a part is redrawn. `source`, `mask`: the job's files."""
        if source is None or self.area is None:
            return [recipe.request(source) for recipe in self.recipes]
        source, mask = self.area.applied(source, mask)
        return [replace(recipe.request(source), mask=mask) for recipe in self.recipes]

    def cost(self, native: NativeSettings, work_of: Callable[[Recipe], float] = lambda recipe: 1.0) -> float:
        """Credits: the GPU's work, 1.0 for a default picture of the operator's default model, and at least MIN_COST.

        native: that model's settings. work_of: the work of a recipe's model relative to that model's.
        """
        calls = network_calls(native.sampler, native.steps)
        default = native.megapixels * calls * passes(native.sampler, native.cfg_scale)
        return max(MIN_COST, sum(recipe.work * work_of(recipe) for recipe in self.recipes) / default)

    @property
    def models(self) -> tuple[str, ...]:
        """The diffusion models that the job needs, in order; an empty name means the default one."""
        return tuple(dict.fromkeys(recipe.model for recipe in self.recipes))

    def batch_key(self) -> Hashable:
        """Jobs with equal keys can be drawn in one batch."""
        keys = dict.fromkeys(recipe.batch_key for recipe in self.recipes)
        return tuple(keys)


@dataclass(frozen=True)
class JobImage:
    """One of a job's images, by its index among them."""

    job: Job
    spec: JobSpec
    index: int = 0

    @property
    def recipe(self) -> Recipe:
        return self.spec.recipes[self.index]


_JOB_SPEC = TypeAdapter(JobSpec)
