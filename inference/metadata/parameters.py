"""The record of how an image was made, and its exact form in JSON."""

import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

from inference.solver_settings import ErSdeSettings

Pairs = tuple[tuple[str, str], ...]

#: The name in `extra` of what changed the image but has no field of its own, and of what a prompt names but the engine
#: left out.
LEFT_OUT = "Left out"

#: The names in `extra` of a schedule's shift, and of a beta schedule's shape, such as `alpha 0.9, beta 0.3`.
SHIFT, BETA_SCHEDULE = "Shift", "Beta schedule"
ANIMA_SHIFT = 3.0
#: The name in `extra` of the settings of `er_sde`, as `ErSdeSettings` writes them.
ER_SDE = "ER-SDE"
FAST = "Block cache"
_ER_SDE = re.compile(
    r"solver_type ([\w -]{1,30}), max_stage (\d), eta (\d{1,3}(?:\.\d{1,12})?), s_noise (\d{1,3}(?:\.\d{1,12})?)"
)
#: The beginning of objects and lists of objects, in JSON or Python's notation, and of XML.
_STRUCTURED = re.compile(r"""\[?\s*\{\s*(["'])[^"']{0,100}\1\s*:|<\?xml|<x:xmpmeta""")
_BETA = re.compile(r"alpha (\d{1,3}(?:\.\d{1,12})?), beta (\d{1,3}(?:\.\d{1,12})?)")


#: Left, top, width, height, in pixels.
Box = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class RedrawMask:
    """Which part of the source image was redrawn.

    boxes: the rectangles that a hard mask consists of; empty if there are too many, or for a soft mask.
    image: the mask's file name, if there are no boxes.
    soft: whether its grey levels say how early a place is redrawn (differential diffusion).
    seam: pixels at its edge over which the new part was blended into the old image.
    """

    boxes: tuple[Box, ...] = ()
    image: str | None = None
    soft: bool = False
    seam: int = 0


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """How an image was made. A value that a file does not have is None, or an empty tuple or text.

    prompt, negative_prompt: with the markup of the program that drew it; without `<lora:…>` tags.
    width, height: in pixels.
    sampler, scheduler: our name if there is one (`er_sde`, `beta57`), else the file's name.
    seed: 0 to 2**64 - 1. ComfyUI's page rounds seeds above 2**53 when a file is dropped on it.
    denoise: above 0, to 1; below 1 for an image that was made from another one.
    loras: (file name, strength), in the order they were applied.
    lora_hashes: (file name, `lora_hash`).
    text_encoder_loras: names of the LoRAs that change the text encoder too.
    loras_without_comfyui: names of the LoRAs whose layers' names ComfyUI does not know for Anima.
    model, text_encoder, vae: file names as in the folders `diffusion_models`, `text_encoders` and `vae`.
    all_in_one: whether `model` is in the folder `checkpoints` instead.
    model_hash: AutoV2, see `model_hash`.
    source_image: file name of the image that it was made from.
    mask: if only a part of that image was redrawn.
    tiled: whether it was drawn in overlapping tiles.
    nag: whether the negative prompt was applied with normalized attention guidance, as we do at CFG 1.
    software: the program and its version, such as `Anima Bot 1.0`.
    extra: what else the file says, (name, value).
    """

    prompt: str = ""
    negative_prompt: str = ""
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    cfg_scale: float | None = None
    sampler: str | None = None
    scheduler: str | None = None
    seed: int | None = None
    denoise: float = 1.0
    loras: tuple[tuple[str, float], ...] = ()
    lora_hashes: Pairs = ()
    text_encoder_loras: tuple[str, ...] = ()
    loras_without_comfyui: tuple[str, ...] = ()
    model: str | None = None
    model_hash: str | None = None
    text_encoder: str | None = None
    vae: str | None = None
    all_in_one: bool = False
    variation_seed: int | None = None
    variation_strength: float | None = None
    source_image: str | None = None
    mask: RedrawMask | None = None
    tiled: bool = False
    nag: bool = False
    software: str | None = None
    extra: Pairs = ()

    @property
    def shift(self) -> float:
        """The schedule's shift; Anima's own if the file does not say."""
        return as_number(dict(self.extra).get(SHIFT)) or ANIMA_SHIFT

    @property
    def fast(self) -> bool:
        """Whether it was drawn in fast mode, see `GenerationRequest.fast`."""
        return FAST in dict(self.extra)

    @property
    def beta(self) -> tuple[float, float] | None:
        """Alpha and beta of a beta schedule that has no name of its own."""
        shape = _BETA.fullmatch(dict(self.extra).get(BETA_SCHEDULE, ""))
        return None if shape is None else (float(shape[1]), float(shape[2]))

    @property
    def er_sde(self) -> ErSdeSettings | None:
        """Settings of the sampler `er_sde`, if they are not its defaults."""
        found = _ER_SDE.fullmatch(dict(self.extra).get(ER_SDE, ""))
        if found is None or self.sampler != "er_sde":
            return None
        settings = ErSdeSettings(found[1], int(found[2]), float(found[3]), float(found[4]))
        return None if settings.problem() else settings


def fast_extra(fast: bool) -> Pairs:
    """The `Parameters.extra` of an image that was drawn in fast mode."""
    return ((FAST, "first block, blocks left out of steps"),) if fast else ()


def er_sde_extra(settings: ErSdeSettings | None) -> Pairs:
    """The `Parameters.extra` for settings of `er_sde`; empty if they are its defaults."""
    return () if settings in (None, ErSdeSettings()) else ((ER_SDE, str(settings)),)


def schedule_extra(shift: float, beta: tuple[float, float] | None) -> Pairs:
    """The `Parameters.extra` for a schedule; empty if it is Anima's usual one."""
    shifted = () if shift == ANIMA_SHIFT else ((SHIFT, f"{shift:.10g}"),)
    shaped = () if beta is None else ((BETA_SCHEDULE, f"alpha {beta[0]:.10g}, beta {beta[1]:.10g}"),)
    return (*shifted, *shaped)


def left_out_extra(what: Iterable[str]) -> Pairs:
    """The `Parameters.extra` for what no other field can hold, or what was left out of the image."""
    return tuple((LEFT_OUT, each) for each in what if each)


def to_json(parameters: Parameters) -> str:
    """Exact and in ASCII. Raises ValueError for a number that is not finite."""
    return json.dumps(asdict(parameters), allow_nan=False)


def from_json(text: str) -> Parameters | None:
    """Reads the output of `to_json`, without values of a wrong type. None for any other text."""
    values = json_object(text)
    if values is None or "prompt" not in values:
        return None
    known: dict[str, Any] = {field.name: _READERS[field.type](values.get(field.name)) for field in fields(Parameters)}
    return Parameters(**{name: value for name, value in known.items() if value is not None})


def json_object(text: object) -> dict[str, Any] | None:
    """Parses an untrusted JSON object, or None. NaN and infinity become None."""
    if not isinstance(text, str):
        return None
    try:
        value = json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):  # not JSON, an integer of thousands of digits, or nested too deep
        return None
    return value if isinstance(value, dict) else None


def json_list(text: object) -> list[Any]:
    """Parses an untrusted list in JSON; an empty one for anything else."""
    if not isinstance(text, str) or not text.lstrip().startswith("["):
        return []
    try:
        value = json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return []
    return value if isinstance(value, list) else []


def is_json(text: str) -> bool:
    """Whether a text is a complete JSON object or list."""
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def is_structured(text: str) -> bool:
    """Whether a text is some program's object or list, even a truncated one, and therefore not a prompt."""
    return is_json(text) or _STRUCTURED.match(text.lstrip("\ufeff \t\r\n")) is not None


def as_text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def as_integer(value: object) -> int | None:
    """An untrusted value as a whole number of at most 64 bits, or None."""
    if isinstance(value, str) and len(value) <= 20:
        try:
            value = int(value)
        except ValueError:
            return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**64 else None


def as_number(value: object) -> float | None:
    """An untrusted value as a finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _text_pairs(value: object) -> Pairs | None:
    return tuple((a, b) for a, b in _pairs(value) if isinstance(a, str) and isinstance(b, str))


def _weighted(value: object) -> tuple[tuple[str, float], ...] | None:
    found = ((name, as_number(strength)) for name, strength in _pairs(value) if isinstance(name, str))
    return tuple((name, strength) for name, strength in found if strength is not None)


def _mask(value: object) -> RedrawMask | None:
    if not isinstance(value, dict):
        return None
    boxes = value.get("boxes")
    return RedrawMask(
        boxes=tuple(filter(None, map(_box, boxes))) if isinstance(boxes, list) else (),
        image=as_text(value.get("image")),
        soft=value.get("soft") is True,
        seam=as_integer(value.get("seam")) or 0,
    )


def _box(value: object) -> Box | None:
    if not isinstance(value, list) or len(value) != 4:
        return None
    numbers = [number for number in map(as_integer, value) if number is not None and number >= 0]
    return (numbers[0], numbers[1], numbers[2], numbers[3]) if len(numbers) == 4 else None


def _pairs(value: object) -> list[list[object]]:
    return [pair for pair in value if isinstance(pair, list) and len(pair) == 2] if isinstance(value, list) else []


_READERS: dict[Any, Callable[[object], object]] = {
    bool: lambda value: value if isinstance(value, bool) else None,
    str: as_text,
    str | None: as_text,
    int | None: as_integer,
    float: as_number,
    float | None: as_number,
    Pairs: _text_pairs,
    tuple[str, ...]: lambda value: tuple(filter(None, map(as_text, value))) if isinstance(value, list) else None,
    tuple[tuple[str, float], ...]: _weighted,
    RedrawMask | None: _mask,
}
