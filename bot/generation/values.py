"""Types and limits of the options, wherever they come from: a command, a preset, a server's defaults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from inference.request import (
    MAX_BETA,
    MAX_CFG_SCALE,
    MAX_PROMPT_LENGTH,
    MAX_SEED,
    MAX_SHIFT,
    MAX_SIDE,
    MAX_STEPS,
    MIN_BETA,
    MIN_SHIFT,
    SAMPLERS,
    SCHEDULERS,
    SIDE_MULTIPLE,
)

#: Maximum images of one job.
MAX_IMAGES = 4
#: Maximum images of one comparison.
MAX_COMPARED = 16
MIN_SIDE = 64
MIN_DENOISE = 0.05
#: Below it, the negative prompt would be drawn instead of avoided; the content rules rely on that never happening.
MIN_CFG_SCALE = 1.0
MAX_ARTISTS_LENGTH = 200
MAX_LORAS = 4
MAX_LORA_NAME_LENGTH = 100
#: Including its folder.
MAX_MODEL_NAME_LENGTH = 400
#: For both signs. The engine accepts more, but that ruins images.
MAX_LORA_STRENGTH = 10


class Speed(StrEnum):
    """How fast a picture is drawn; stored as `Options.turbo` and `Options.fast`."""

    NORMAL = "normal"
    TURBO = "turbo"
    FAST = "fast"


def one_of(names: Sequence[str]) -> Callable[[str], str]:
    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"{name!r} is not known; it must be one of {', '.join(names)}")
        return name

    return check


def offered(names: Sequence[str], chosen: str | None, limit: int) -> list[str]:
    """As many names as fit into a select, always with the chosen one."""
    found = list(names[:limit])
    return found if chosen is None or chosen in found else [*found[:-1], chosen]


Side = Annotated[int, Field(ge=MIN_SIDE, le=MAX_SIDE, multiple_of=SIDE_MULTIPLE)]
Count = Annotated[int, Field(ge=1, le=MAX_IMAGES)]
Compared = Annotated[int, Field(ge=0, le=MAX_COMPARED)]
Steps = Annotated[int, Field(ge=1, le=MAX_STEPS)]
CfgScale = Annotated[float, Field(ge=MIN_CFG_SCALE, le=MAX_CFG_SCALE, allow_inf_nan=False)]
Sampler = Annotated[str, AfterValidator(one_of(SAMPLERS))]
Scheduler = Annotated[str, AfterValidator(one_of(SCHEDULERS))]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Shift = Annotated[float, Field(ge=MIN_SHIFT, le=MAX_SHIFT, allow_inf_nan=False)]
BetaShape = Annotated[float, Field(ge=MIN_BETA, le=MAX_BETA, allow_inf_nan=False)]
VariationStrength = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Denoise = Annotated[float, Field(ge=MIN_DENOISE, le=1, allow_inf_nan=False)]
Negative = Annotated[str, Field(max_length=MAX_PROMPT_LENGTH)]
Artist = Annotated[str, Field(max_length=MAX_ARTISTS_LENGTH)]
ModelName = Annotated[str, Field(min_length=1, max_length=MAX_MODEL_NAME_LENGTH)]
LoraName = Annotated[str, Field(min_length=1, max_length=MAX_LORA_NAME_LENGTH)]
LoraStrength = Annotated[float, Field(ge=-MAX_LORA_STRENGTH, le=MAX_LORA_STRENGTH, allow_inf_nan=False)]
Loras = Annotated[tuple[tuple[LoraName, LoraStrength], ...], Field(max_length=MAX_LORAS)]
