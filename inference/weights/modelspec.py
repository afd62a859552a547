"""Settings in the safetensors metadata of a checkpoint or a turbo LoRA (ModelSpec, https://github.com/Stability-AI/ModelSpec)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from inference.request import SAMPLERS, SCHEDULERS, SIDE_MULTIPLE, NativeSettings, TurboLora, Variant

#: Anima's own settings, used where a file says nothing else.
ANIMA = NativeSettings(
    sizes=((1024, 1024), (896, 1152), (1152, 896), (832, 1216), (1216, 832), (768, 1344), (1344, 768)),
    steps=30,
    cfg_scale=4.0,
    sampler="er_sde",
    scheduler="simple",
)


#: The settings of the distilled checkpoints, `anima-turbo-…`.
TURBO = replace(ANIMA, variant="turbo", steps=10, cfg_scale=1.0, sampler="euler")

#: The settings of the fine-tune `anima-aesthetic-…`, whose prefix has no score tags because they push it too far.
AESTHETIC = replace(
    ANIMA,
    variant="aesthetic",
    sampler="euler",
    prefix="masterpiece, best quality, safe, ",
    negative="worst quality, low quality, artist name",
)

_VARIANTS = {native.variant: native for native in (TURBO, AESTHETIC, ANIMA)}


def variant(metadata: Mapping[str, str], name: str = "") -> Variant:
    """A checkpoint's variant of Anima: by its header, its title or the file's name; otherwise base.

    The header's `modelspec.anima.variant` is our addition.
    """
    said = metadata.get("modelspec.anima.variant", "").lower()
    text = f"{name} {metadata.get('modelspec.title', '')}".lower()
    named = [kind for kind in _VARIANTS if kind == said] or [kind for kind in _VARIANTS if kind in text]
    return named[0] if named else "base"


def native_settings(metadata: Mapping[str, str], name: str = "") -> NativeSettings:
    """Read `modelspec.resolution` and our additions `modelspec.anima.*`.

    What is missing or unreadable comes from the checkpoint's `variant`.
    """
    usual = _VARIANTS[variant(metadata, name)]
    sizes = _sizes(metadata.get("modelspec.anima.resolutions", "")) or _sizes(metadata.get("modelspec.resolution", ""))
    return replace(
        usual,
        sizes=sizes if sizes and sizes[0] != usual.sizes[0] else usual.sizes,
        steps=int(_number(metadata.get("modelspec.anima.steps"), 1, 1000) or usual.steps),
        cfg_scale=_number(metadata.get("modelspec.anima.cfg_scale"), 0, 100) or usual.cfg_scale,
        sampler=_choice(metadata.get("modelspec.anima.sampler"), SAMPLERS) or usual.sampler,
        scheduler=_choice(metadata.get("modelspec.anima.scheduler"), SCHEDULERS) or usual.scheduler,
        prefix=metadata.get("modelspec.anima.prefix", usual.prefix),
        negative=metadata.get("modelspec.anima.negative", usual.negative),
    )


def says_turbo(metadata: Mapping[str, str]) -> bool:
    """Whether a LoRA's header recommends a number of steps and a CFG scale, as only turbo LoRAs do."""
    steps = _number(metadata.get("modelspec.anima.steps"), 1, 1000)
    return steps is not None and _number(metadata.get("modelspec.anima.cfg_scale"), 0, 100) is not None


def turbo_lora(metadata: Mapping[str, str], name: str) -> TurboLora:
    """The settings for the turbo LoRA of this name. What its header lacks comes from the distilled checkpoints."""
    settings = native_settings(metadata, "turbo")
    return TurboLora(name, settings.steps, settings.cfg_scale)


def _sizes(text: str) -> tuple[tuple[int, int], ...]:
    sizes = [(int(width), int(height)) for width, height in re.findall(r"\b(\d{2,4})x(\d{2,4})\b", text)]
    return tuple(size for size in sizes if all(side and side % SIDE_MULTIPLE == 0 for side in size))


def _number(text: str | None, minimum: float, maximum: float) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if minimum <= number <= maximum else None


def _choice(text: str | None, allowed: tuple[str, ...]) -> str | None:
    return text if text in allowed else None
