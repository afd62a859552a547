"""What decides one image: its prompts, size, steps, seed and so on."""

from __future__ import annotations

import secrets
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inference import GenerationRequest
from inference.request import MAX_SEED
from inference.solver_settings import ErSdeSettings

if TYPE_CHECKING:
    from PIL import Image

#: Seeds we choose are short enough to be read and typed; people may give any up to 2**64 - 1.
MAX_NEW_SEED = 2**32 - 1

#: How much of a variation's noise is new, from 0 to 1.
SUBTLE, STRONG = 0.2, 0.5


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that determines one image. The prompts are final, as the engine gets them.

    A `denoise` below 1 starts from the job's source image. nag: as `GenerationRequest.nag`; missing in recipes of
    earlier releases.
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
    nag: bool = False
    shift: float = 3.0
    beta: tuple[float, float] | None = None
    er_sde: ErSdeSettings | None = None

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
            nag=self.nag,
            shift=self.shift,
            beta=self.beta,
            er_sde=self.er_sde,
        )

    @property
    def uses_nag(self) -> bool:
        """Whether the negative takes part by normalized attention guidance."""
        return self.request(None).uses_nag

    @property
    def work(self) -> float:
        """What the GPU spends: megapixels x steps x passes."""
        return self.width * self.height / 1e6 * self.steps * passes(self.cfg_scale)

    @property
    def batch_key(self) -> Hashable:
        """Images with equal keys can be drawn in one batch."""
        return self.request(None).batch_key


def new_seed() -> int:
    return secrets.randbelow(MAX_NEW_SEED + 1)


def seeds_from(seed: int | None, count: int) -> tuple[int, ...]:
    """A seed for each image: those that follow one another from `seed` on, or new ones where none was given."""
    if seed is None:
        return tuple(new_seed() for _ in range(count))
    return tuple((seed + number) % (MAX_SEED + 1) for number in range(count))


def passes(cfg_scale: float) -> int:
    """Guidance runs the network on the negative prompt as well."""
    return 1 if cfg_scale == 1 else 2
