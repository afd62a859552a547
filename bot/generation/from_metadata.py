"""Turns the parameters in a picture's file into options, to draw it here as exactly as possible."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from bot.generation.compose import ModelInfo
from bot.generation.errors import InvalidOption, UnusableImage
from bot.generation.options import Options
from bot.generation.sizes import to_multiple
from bot.generation.typed.loras import LoraNames
from bot.generation.typed.models import find_named_model
from bot.generation.values import MAX_LORA_STRENGTH, MAX_LORAS, MIN_SIDE
from bot.prompting import escape_wildcards
from bot.text.translation import N_, say
from inference.metadata import LEFT_OUT, Parameters
from inference.metadata.parameters import ANIMA_SHIFT
from inference.request import MAX_PROMPT_LENGTH

NAMED: Mapping[str, str] = {
    "steps": N_("Steps"),
    "cfg_scale": N_("CFG scale"),
    "sampler": N_("Sampler"),
    "scheduler": N_("Scheduler"),
    "seed": N_("Seed"),
    "variation": N_("Variation seed and strength"),
    "shift": N_("Shift"),
    "beta": N_("Beta schedule"),
    "er_sde": N_("ER-SDE settings"),
}
#: Entries of `extra` that cannot be repeated: a second pass, or parts of a graph that have no option here.
NOT_REPEATED = frozenset(
    {
        "Last step",
        LEFT_OUT,
        "Hires upscale",
        "Hires resize-1",
        "Hires steps",
        "Hires fixed",
        "Refiner",
        "Detailer",
        "Embeddings",
    }
)
#: Beginnings, in lower case, of more names that web UIs write: parts of an image that are redrawn, tiles, guidance by
#: other images or by regions, and samplers', schedules' and guiders' own settings.
NOT_REPEATED_BEGINNINGS = (
    *("adetailer model", "controlnet ", "rp active", "tiled diffusion", "freeu", "dynamic thresholding", "dynthres"),
    *("seed resize from", "mask blur", "soft inpainting enabled", "forge_couple", "cfg rescale", "cfg true", "eta"),
    *(
        "ensd",
        "ngms",
        "skip early cfg",
        "ti hashes",
        "sd upscale",
        "ultimate sd upscale",
        "inpaint area",
        "extra noise",
    ),
    *("schedule min sigma", "schedule max sigma", "schedule rho", "discard penultimate sigma", "token merging ratio"),
    *(
        "tiling",
        "image cfg scale",
        "conditional mask weight",
        "postprocess",
        "face restoration",
        "script",
        "first pass",
    ),
)
NO_PROMPT = N_("That file has no prompt inside, so there is nothing to draw.")
TOO_LONG = N_("The prompt in that file is too long. The limit is {limit} characters.")


@dataclass(frozen=True)
class Replay:
    """A prompt and options; the user's defaults only apply where the file says nothing.

    without: names of LoRAs that are left out: not available, too many, or too strong.
    other_model: the model that it was made with, if that is not offered here.
    unknown: names and values of settings that cannot be used here.
    from_image: whether it was made from another image, which the file does not contain.
    """

    prompt: str
    options: Options
    without: tuple[str, ...] = ()
    unknown: tuple[tuple[str, str], ...] = ()
    from_image: bool = False
    other_model: str | None = None

    @classmethod
    def of(cls, found: Parameters, model: ModelInfo, offered: Collection[str] | None = None) -> Replay:
        """Raises UnusableImage if the prompt is missing or too long.

        offered: the models that may be used there; None for all.
        """
        if not found.prompt.strip():
            raise UnusableImage(say(NO_PROMPT))
        prompt, negative = escape_wildcards(found.prompt), escape_wildcards(found.negative_prompt)
        if max(len(prompt), len(negative)) > MAX_PROMPT_LENGTH:
            raise UnusableImage(say(TOO_LONG, limit=MAX_PROMPT_LENGTH))
        loras, without = _loras(found, model)
        options, unknown = _valid(_named_options(found))
        drawn_with = None if not found.model else find_named_model(found.model, model.models)
        if offered is not None and drawn_with not in offered:
            drawn_with = None
        options = replace(
            options,
            model=drawn_with,
            negative=negative,
            artist="",
            size=_size(found),
            count=1,
            loras=loras,
            turbo=False,
            fast=found.fast,
            raw=True,
            nag=False if found.cfg_scale == 1 and not found.nag else None,
        )
        other = found.model or None if drawn_with is None and model.models else None
        from_image = found.denoise < 1 or found.mask is not None
        return cls(prompt, options, without, (*unknown, *_not_repeated(found)), from_image, other)


def _not_repeated(found: Parameters) -> tuple[tuple[str, str], ...]:
    """Other changes to the picture that cannot be repeated here: their names and values in the file."""
    return tuple((name, value) for name, value in found.extra if _is_another_change(name, value))


def _is_another_change(name: str, value: str) -> bool:
    if name == "RNG":  # the device that a web UI generates noise on; the bot uses the CPU
        return value != "CPU"
    return name in NOT_REPEATED or name.casefold().startswith(NOT_REPEATED_BEGINNINGS)


def _named_options(found: Parameters) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "steps": found.steps,
        "cfg_scale": found.cfg_scale,
        "sampler": found.sampler,
        "scheduler": found.scheduler,
        "seed": None if found.seed == -1 else found.seed,  # web UIs write -1 for a random seed
    }
    if found.variation_seed is not None and found.variation_strength:
        settings["variation"] = (found.variation_seed, found.variation_strength)
    if found.shift != ANIMA_SHIFT:
        settings["shift"] = found.shift
    if found.beta is not None:
        settings |= {"scheduler": "beta", "beta": found.beta}
    if found.er_sde is not None:
        settings["er_sde"] = found.er_sde
    return {name: value for name, value in settings.items() if value is not None}


def _valid(settings: dict[str, Any]) -> tuple[Options, tuple[tuple[str, str], ...]]:
    """The values that are valid here, and the names and values of the others."""
    try:
        return Options.of(settings), ()
    except ValidationError as error:
        wrong = {str(each["loc"][0]) for each in error.errors()}
    usable = {name: value for name, value in settings.items() if name not in wrong}
    return Options.of(usable), tuple((say(NAMED[name]), str(settings[name])) for name in settings if name in wrong)


def _size(found: Parameters) -> tuple[int, int] | None:
    """A size that is too large is kept, so that the user learns the limit; no model can draw one that is too small."""
    if found.width is None or found.height is None:
        return None
    return max(MIN_SIDE, to_multiple(found.width)), max(MIN_SIDE, to_multiple(found.height))


def _loras(found: Parameters, model: ModelInfo) -> tuple[tuple[tuple[str, float], ...], tuple[str, ...]]:
    here: list[tuple[str, float]] = []
    without: list[str] = []
    known_names = model.lora_names
    for name, strength in found.loras:
        known = _known_as(name, known_names)
        if known is None or len(here) == MAX_LORAS or abs(strength) > MAX_LORA_STRENGTH:
            without.append(name)
        else:
            here.append((known, strength))
    return tuple(here), tuple(without)


def _known_as(name: str, known: LoraNames) -> str | None:
    """The name here of a LoRA that other programs may write with or without folder and suffix, or with backslashes."""
    for written in dict.fromkeys((name, name.replace("\\", "/").rpartition("/")[2])):
        with suppress(InvalidOption):  # several match
            if (found := known.find(written)) is not None:
                return found
    return None
