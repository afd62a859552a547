"""The fields of the forms for a user's own defaults, filled with the current values."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import discord
from discord import ui

from bot.commands.preferences.defaults import PreferencesContext, as_text
from bot.generation.sizes import example_size
from bot.generation.typed.validation_errors import LABELS
from bot.generation.values import MAX_ARTISTS_LENGTH, MAX_IMAGES, MAX_LORAS, MIN_CFG_SCALE, MIN_DENOISE
from bot.messages.limits import MAX_FIELD_LENGTH
from bot.text.markdown import inline
from bot.text.translation import say
from inference.request import MAX_CFG_SCALE, MAX_STEPS

MAX_LORAS_LENGTH = 1500


def number_fields(context: PreferencesContext) -> list[ui.Label[Any]]:
    examples = {
        "size": say("{size}, or a ratio such as 2:3", size=example_size(context.model.native.sizes)),
        "count": say("{least} to {most}", least=1, most=MAX_IMAGES),
        "steps": say("{least} to {most}", least=1, most=MAX_STEPS),
        "cfg_scale": say("{least} to {most}", least=f"{MIN_CFG_SCALE:g}", most=f"{MAX_CFG_SCALE:g}"),
        "denoise": say("How much to change a source picture, {least} to 1", least=MIN_DENOISE),
    }
    return [_field(name, context, example) for name, example in examples.items()]


def word_fields(context: PreferencesContext) -> list[ui.Label[Any]]:
    return [
        _field("negative", context, say("What to avoid"), max_length=MAX_FIELD_LENGTH),
        _field("artist", context, say("Separated by commas"), max_length=MAX_ARTISTS_LENGTH),
    ]


def lora_fields(context: PreferencesContext) -> list[ui.Item[Any]]:
    names = ", ".join(context.model.loras)
    here = say("There are no LoRAs here yet.")
    if names:
        here = say("Available: {names}", names=inline(names, MAX_LORAS_LENGTH))
    example = say("One per line with its strength, such as name: 0.8. At most {most}", most=MAX_LORAS)
    return [_field("loras", context, example, max_length=MAX_FIELD_LENGTH), ui.TextDisplay(here)]


def _field(name: str, context: PreferencesContext, example: str, *, max_length: int = 20) -> ui.Label[Any]:
    text = as_text(getattr(context.own, name))[:max_length]
    field: ui.TextInput[Any] = ui.TextInput(
        custom_id=f"{name}:{digest_of(text)}",
        style=discord.TextStyle.paragraph if max_length == MAX_FIELD_LENGTH else discord.TextStyle.short,
        default=text or None,
        required=False,
        max_length=max_length,
    )
    description = say("{example}. Empty: server default", example=example)
    return ui.Label(text=say(LABELS[name]), description=description, component=field)


def digest_of(text: str) -> str:
    return blake2b(" ".join(text.split()).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
