"""What a person can say about a picture besides its prompt, and what holds where they say nothing.

Layers lie over each other: what was said with the command, a preset, the person's defaults, the server's, and at the
bottom the loaded model's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter

from bot.server_settings import CfgScale, Count, Defaults, Side, Steps, one_of
from inference import NativeSettings
from inference.request import LARGEST_SEED, LONGEST_PROMPT, SAMPLERS, SCHEDULERS

LONGEST_ARTIST = 200
LEAST_DENOISE = 0.05
STRONGEST_LORA = 10.0
MOST_LORAS = 4
DENOISE = 0.6
"""How much of a given picture is drawn anew where nobody says: its composition stays, its drawing does not."""

Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Strength = Annotated[float, Field(ge=-STRONGEST_LORA, le=STRONGEST_LORA, allow_inf_nan=False)]
Loras = Annotated[tuple[tuple[str, Strength], ...], Field(max_length=MOST_LORAS)]
Denoise = Annotated[float, Field(ge=LEAST_DENOISE, le=1, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True)
class Options:
    """None: nothing said.

    raw: leaves the recommended prefix and negative away.
    variation: a second seed, and how much of its noise is blended into the first one's.
    """

    negative: Annotated[str, Field(max_length=LONGEST_PROMPT)] | None = None
    artist: Annotated[str, Field(max_length=LONGEST_ARTIST)] | None = None
    size: tuple[Side, Side] | None = None
    count: Count | None = None
    steps: Steps | None = None
    cfg_scale: CfgScale | None = None
    sampler: Annotated[str, AfterValidator(one_of(SAMPLERS))] | None = None
    scheduler: Annotated[str, AfterValidator(one_of(SCHEDULERS))] | None = None
    seed: Seed | None = None
    loras: Loras | None = None
    turbo: bool | None = None
    denoise: Denoise | None = None
    raw: bool | None = None
    variation: tuple[Seed, Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]] | None = None
    spoiler: bool | None = None
    private: bool | None = None

    def over(self, below: Options) -> Options:
        """These, and what is below where these say nothing."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return Options(**{name: getattr(below, name) if value is None else value for name, value in said.items()})

    def as_json(self) -> dict[str, Any]:
        """What `of` reads back: no more than was said."""
        document: dict[str, Any] = _OPTIONS.dump_python(self, mode="json", exclude_none=True)
        return document

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Options:
        """Raises ValidationError, a ValueError, for what may not be said."""
        return _OPTIONS.validate_python(dict(document))

    @classmethod
    def of_server(cls, defaults: Defaults) -> Options:
        return cls(
            size=defaults.size,
            count=defaults.count,
            steps=defaults.steps,
            cfg_scale=defaults.cfg_scale,
            sampler=defaults.sampler,
            scheduler=defaults.scheduler,
            turbo=defaults.turbo,
            spoiler=defaults.spoiler,
            private=defaults.private,
        )

    @classmethod
    def of_model(cls, native: NativeSettings) -> Options:
        """The bottom: with these below it, nothing that has to be said is left unsaid."""
        return cls(
            negative="",
            artist="",
            size=native.sizes[0],
            count=1,
            steps=native.steps,
            cfg_scale=native.cfg_scale,
            sampler=native.sampler,
            scheduler=native.scheduler,
            loras=(),
            turbo=False,
            denoise=DENOISE,
            raw=False,
            spoiler=False,
            private=False,
        )


_OPTIONS = TypeAdapter(Options)
