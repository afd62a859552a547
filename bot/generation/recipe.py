"""`Recipe`: everything that determines one image: prompts, size, steps, seed and so on."""

from __future__ import annotations

import math
import secrets
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inference import GenerationRequest
from inference.request import MAX_SEED, TOKEN_SIDE
from inference.solver_settings import ErSdeSettings, is_cfg_pp, network_calls
from inference.tiling.layout import drawn_pixels, drawn_tiles

if TYPE_CHECKING:
    from PIL import Image

#: Seeds that the bot chooses are short enough to read and type; users may give any up to 2**64 - 1.
MAX_NEW_SEED = 2**32 - 1

#: The work of a picture in fast mode relative to a normal one, about as with the miniature model.
FAST_WORK = 0.7

#: How much of a variation's noise is new, from 0 to 1.
SUBTLE, STRONG = 0.2, 0.5


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that determines one image. The prompts are final, as the engine gets them.

    A `denoise` below 1 starts from the job's source image. nag: as `GenerationRequest.nag`; missing in recipes of
    earlier releases. model: name of the diffusion model's file; empty for the default one, as in earlier releases.
    tile: width and height of the overlapping tiles that it is drawn in, a native size of the model; None for one pass.
    fast: as `GenerationRequest.fast`.
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
    model: str = ""
    tile: tuple[int, int] | None = None
    fast: bool = False

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
            model=self.model,
            tiled=self.tile is not None,
            fast=self.fast,
        )

    @property
    def uses_nag(self) -> bool:
        """Whether the negative prompt is applied by normalized attention guidance."""
        return self.request(None).uses_nag

    @property
    def work(self) -> float:
        """The GPU's work: megapixels x network calls x passes; less in fast mode, more where tiles overlap."""
        size = (self.width, self.height)
        pixels = self.width * self.height if self.tile is None else drawn_pixels(size, self.tile)
        calls = network_calls(self.sampler, self.steps)
        return pixels / 1e6 * calls * passes(self.sampler, self.cfg_scale) * (FAST_WORK if self.fast else 1)

    @property
    def tokens(self) -> int:
        """How many tokens the network processes in one pass."""
        width, height = (self.width, self.height) if self.tile is None else self.tile
        return math.ceil(width / TOKEN_SIDE) * math.ceil(height / TOKEN_SIDE) * passes(self.sampler, self.cfg_scale)

    @property
    def tiles(self) -> int:
        """How many tiles it is drawn in."""
        return 1 if self.tile is None else len(drawn_tiles((self.width, self.height), self.tile))

    @property
    def batch_key(self) -> Hashable:
        """Images with equal keys can be drawn in one batch."""
        return self.request(None).batch_key


def new_seed() -> int:
    return secrets.randbelow(MAX_NEW_SEED + 1)


def seeds_from(seed: int | None, count: int) -> tuple[int, ...]:
    """A seed for each image: consecutive ones starting at `seed`, or new ones if it is None."""
    if seed is None:
        return tuple(new_seed() for _ in range(count))
    return tuple((seed + number) % (MAX_SEED + 1) for number in range(count))


def passes(sampler: str, cfg_scale: float) -> int:
    """Passes per network call. Guidance also needs one for the negative prompt; CFG++ even at CFG 1."""
    return 1 if cfg_scale == 1 and not is_cfg_pp(sampler) else 2
