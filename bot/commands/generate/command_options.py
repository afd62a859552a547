"""The options that several commands have: their types, choices and descriptions, and what they are called elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from discord import app_commands

from bot.generation.comparison import NAMED, UNKNOWN_NAME, AxisKind, axis_name
from bot.generation.errors import InvalidOption
from bot.generation.values import MAX_ARTISTS_LENGTH, MIN_CFG_SCALE
from bot.messages.limits import MAX_CHOICE_LENGTH, MAX_OPTION_LENGTH
from bot.text.markdown import inline
from bot.text.translation import N_, say
from inference.request import MAX_CFG_SCALE, MAX_PROMPT_LENGTH, MAX_SEED, MAX_STEPS, SAMPLERS, SCHEDULERS

PromptText = app_commands.Range[str, 1, min(MAX_OPTION_LENGTH, MAX_PROMPT_LENGTH)]
AspectText = app_commands.Range[str, 1, MAX_CHOICE_LENGTH]
StepsNumber = app_commands.Range[int, 1, MAX_STEPS]
CfgNumber = app_commands.Range[float, MIN_CFG_SCALE, MAX_CFG_SCALE]
SeedText = app_commands.Range[str, 1, 20]
ArtistText = app_commands.Range[str, 1, MAX_ARTISTS_LENGTH]


#: What each option does, by its name in the command.
DESCRIPTIONS: Mapping[str, str] = {
    "prompt": "What to draw: tags, sentences, or both",
    "negative": "What to avoid",
    "aspect": "Shape and size: pick from the list, or type a ratio (2:3) or a size (832x1216)",
    "steps": "More steps give finer detail but take longer",
    "cfg": "How closely to follow the prompt",
    "sampler": "Sampling method; each has its own look",
    "scheduler": "How steps are spread over noise levels",
    "seed": "The same seed and settings give the same picture",
    "artist": "One or more artists, separated by commas; @ is added for you",
    "turbo": "Fewer steps, faster",
    "spoiler": "Hide the picture until it is clicked",
    "private": "Only you can see it",
    "raw": "Use your prompt as it is: no quality tags and no negative prompt are added",
}

#: What each of `Options` is called in panels and forms, in the order in which they are shown.
LABELS: Mapping[str, str] = {
    "size": N_("Size"),
    "count": N_("Pictures"),
    "steps": N_("Steps"),
    "cfg_scale": N_("CFG scale"),
    "sampler": N_("Sampler"),
    "scheduler": N_("Scheduler"),
    "negative": N_("Negative prompt"),
    "artist": N_("Artists"),
    "loras": N_("LoRAs"),
    "denoise": N_("Denoise"),
    "turbo": N_("Turbo"),
    "raw": N_("Raw prompt"),
    "spoiler": N_("Spoiler"),
    "private": N_("Private"),
}

WRONG_SEED = N_("The seed must be a whole number from 0 to {most}.")


def parse_seed(text: str | None) -> int | None:
    """The seed that was typed: Discord's whole numbers end far below the largest. Raises InvalidOption."""
    if text is None:
        return None
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and int(digits) <= MAX_SEED):
        raise InvalidOption(say(WRONG_SEED, most=MAX_SEED))
    return int(digits)


def parse_sampler(typed: str | None) -> str | None:
    """The sampler that was typed or chosen. Raises InvalidOption."""
    return _known(typed, AxisKind.SAMPLER, SAMPLERS)


def parse_scheduler(typed: str | None) -> str | None:
    """The scheduler that was typed or chosen. Raises InvalidOption."""
    return _known(typed, AxisKind.SCHEDULER, SCHEDULERS)


def _known(typed: str | None, kind: AxisKind, names: Sequence[str]) -> str | None:
    if typed is None:
        return None
    name = typed.strip().casefold().replace(" ", "_")
    if name not in names:
        unknown = say(UNKNOWN_NAME, axis=axis_name(kind), name=inline(typed, NAMED), names=", ".join(names))
        raise InvalidOption(unknown)
    return name
