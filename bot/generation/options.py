"""What a person can say about a picture besides its prompt, and what holds where they say nothing.

Layers lie over each other: what was said with the command, a preset, the person's defaults, the server's, and at the
bottom the loaded model's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from bot.rules.server_settings import Artist, CfgScale, Count, Defaults, Denoise, Loras, Sampler, Scheduler, Side, Steps
from inference import NativeSettings
from inference.request import MAX_PROMPT_LENGTH, MAX_SEED

DENOISE = 0.6
"""How much of a given picture is drawn anew where nobody says: its composition stays, its drawing does not."""

Negative = Annotated[str, Field(max_length=MAX_PROMPT_LENGTH)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
VariationStrength = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True)
class Options:
    """None: nothing said.

    raw: leaves the recommended prefix and negative away.
    variation: a second seed, and how much of its noise is blended into the first one's.
    """

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
    denoise: Denoise | None = None
    raw: bool | None = None
    variation: tuple[Seed, VariationStrength] | None = None
    spoiler: bool | None = None
    private: bool | None = None

    def merged_over(self, below: Options) -> Options:
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
            artist=defaults.artist or None,
            size=defaults.size,
            count=defaults.count,
            steps=defaults.steps,
            cfg_scale=defaults.cfg_scale,
            sampler=defaults.sampler,
            scheduler=defaults.scheduler,
            loras=defaults.loras or None,
            turbo=defaults.turbo,
            denoise=defaults.denoise,
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
