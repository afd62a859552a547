"""`Options`: all settings of a request besides its prompt, and how defaults are combined.

The first layer that sets an option wins: the command, a preset, the user's defaults, the server's, the model's.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bot.generation.values import (
    Artist,
    BetaShape,
    CfgScale,
    Count,
    Denoise,
    Loras,
    ModelName,
    Negative,
    Sampler,
    Scheduler,
    Seed,
    Shift,
    Side,
    Steps,
    VariationStrength,
)
from inference import NativeSettings
from inference.solver_settings import ErSdeSettings

logger = logging.getLogger(__name__)

#: How strongly a source image is redrawn by default: keeps its composition, but not its details.
DENOISE = 0.6


@dataclass(frozen=True, kw_only=True)
class Options:
    """None: not set.

    model: name of a diffusion model's file, without suffix.
    raw: leaves out the recommended prefix and negative.
    variation: a second seed, and how much of its noise is blended into the first one's.
    fast: as `GenerationRequest.fast`; ignored with turbo, which needs few steps anyway.
    nag: False turns normalized attention guidance off, for pictures drawn without it.
    shift, beta, er_sde: from a picture's file; as in `GenerationRequest`.
    upscaled: made from a smaller picture by that button; other limits apply, and large ones are drawn in tiles.
    """

    model: ModelName | None = None
    negative: Negative | None = None
    artist: Artist | None = None
    size: tuple[Side, Side] | None = None
    count: Count | None = None
    steps: Steps | None = None
    cfg_scale: CfgScale | None = None
    sampler: Sampler | None = None
    scheduler: Scheduler | None = None
    seed: Seed | None = None
    loras: Loras | None = None
    turbo: bool | None = None
    fast: bool | None = None
    denoise: Denoise | None = None
    raw: bool | None = None
    variation: tuple[Seed, VariationStrength] | None = None
    nag: bool | None = None
    shift: Shift | None = None
    beta: tuple[BetaShape, BetaShape] | None = None
    er_sde: ErSdeSettings | None = None
    upscaled: bool | None = None
    spoiler: bool | None = None
    private: bool | None = None

    def merged_over(self, below: Options) -> Options:
        """These options, and those of `below` where these are unset."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return Options(**{name: getattr(below, name) if value is None else value for name, value in said.items()})

    def as_json(self) -> dict[str, Any]:
        """JSON that `of` reads: only the options that are set."""
        document: dict[str, Any] = _OPTIONS.dump_python(self, mode="json", exclude_none=True)
        return document

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Options:
        """Raises ValidationError, a ValueError, for invalid options."""
        return _OPTIONS.validate_python(dict(document))

    @classmethod
    def of_model(cls, native: NativeSettings) -> Options:
        """The last layer: it sets every required option except the model."""
        return cls(
            negative="",
            nag=True,
            shift=3.0,
            artist="",
            size=native.sizes[0],
            count=1,
            steps=native.steps,
            cfg_scale=native.cfg_scale,
            sampler=native.sampler,
            scheduler=native.scheduler,
            loras=(),
            turbo=False,
            fast=False,
            denoise=DENOISE,
            raw=False,
            spoiler=False,
            private=False,
        )


_OPTIONS = TypeAdapter(Options)


def read_stored_options(document: Any) -> Options:
    """Stored options; those that are no longer valid are ignored."""
    try:
        return Options.of(document)
    except ValidationError as error:
        outdated = {each["loc"][0] for each in error.errors()}
        logger.info("some saved options are no longer valid and are ignored: %s", outdated)
        return Options.of({name: value for name, value in document.items() if name not in outdated})
