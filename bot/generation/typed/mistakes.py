"""What is wrong with options that cannot be used: each named, with its limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from bot.text.formats import decimal
from bot.text.translation import N_, say

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
    "turbo": N_("Speed"),
    "raw": N_("Raw prompt"),
    "spoiler": N_("Spoiler"),
    "private": N_("Private"),
}

#: What else can be said of a picture, which no panel shows.
_OTHER_LABELS: Mapping[str, str] = {
    "seed": N_("Seed"),
    "variation": N_("Variation seed and strength"),
    "shift": N_("Shift"),
    "beta": N_("Beta schedule"),
    "er_sde": N_("ER-SDE settings"),
    "nag": N_("Negative prompts at CFG 1"),
}

#: What is said of each type of pydantic's errors.
ERROR_SENTENCES: Mapping[str, str] = {
    "int_parsing": N_("**{what}** must be a whole number."),
    "float_parsing": N_("**{what}** must be a number."),
    "finite_number": N_("**{what}** must be a number."),
    "greater_than_equal": N_("**{what}** must be {limit} or more."),
    "less_than_equal": N_("**{what}** must be {limit} or less."),
    "string_too_long": N_("**{what}** can have at most {limit} characters."),
    "too_long": N_("**{what}** can have at most {limit} entries."),
    "other": N_("**{what}** can't have that value."),
}


def describe_mistakes(error: ValidationError) -> str:
    """A sentence for each mistake that `Options.of` found."""
    return " ".join(dict.fromkeys(map(_describe, error.errors())))


def _describe(mistake: Any) -> str:
    kind = mistake["type"] if mistake["type"] in ERROR_SENTENCES else "other"
    context, name = mistake.get("ctx", {}), str(mistake["loc"][0])
    limit = next((context[key] for key in ("ge", "le", "max_length") if key in context), "")
    return say(
        ERROR_SENTENCES[kind],
        what=say(LABELS[name]) if name in LABELS else say(_OTHER_LABELS[name]),
        limit=decimal(limit) if isinstance(limit, float) else limit,
    )
