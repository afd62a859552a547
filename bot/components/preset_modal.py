"""Presets: what may be in one, how one is named and saved, and the form that makes one of a picture."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from typing import Any, Self

from discord import ui

from bot.components.base import AnimaInteraction, Modal, Submitted, reply_privately
from bot.generation.compose import options_of_image
from bot.generation.options import Options
from bot.generation.spec import JobSpec
from bot.text.markdown import inline
from bot.text.translation import say
from storage.jobs import Job
from storage.preferences import PRESETS_EACH, TooManyPresets

MAX_NAME_LENGTH = 50

LOST = "The picture's settings are not remembered any more, so nothing was saved."
NO_NAME = "A preset's name has 1 to {longest} characters, so nothing was saved."
SAVED = "Saved as “{name}”. `/anima imagine preset:` draws with it."
REPLACED = "Your preset “{name}” is now this one. `/anima imagine preset:` draws with it."
TOO_MANY = "You have {most} presets, which is the most, so nothing was saved. Delete one first: `/anima preferences`."


def without_seed(options: Options) -> Options:
    """What may be kept for other pictures: no seed, for then all of them would be alike."""
    return replace(options, seed=None, variation=None)


def settings_of_picture(drawing: JobSpec, index: int) -> Options:
    """How one of a drawing's pictures was made; not how many there were, nor how they were shown."""
    options = options_of_image(drawing, index)
    if drawing.recipes[index].denoise == 1:
        options = replace(options, denoise=None)
    return replace(without_seed(options), count=None, spoiler=None, private=None)


def key_of(name: str) -> str:
    """Stands for a preset in a custom_id, where a name might be too long."""
    return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def called(typed: str) -> str:
    """The name that was typed, on one line."""
    return " ".join(typed.split())


async def save(interaction: AnimaInteraction, typed: str, options: Options) -> str:
    """Saves a preset under the name that was typed; returns what has come of it, in a sentence."""
    name = called(typed)
    if len(name) > MAX_NAME_LENGTH or not any(character.isprintable() for character in name):
        return say(NO_NAME, longest=MAX_NAME_LENGTH)
    preferences = interaction.client.database.preferences
    replaces = await preferences.preset(interaction.user.id, name) is not None
    try:
        await preferences.save_preset(interaction.user.id, name, options.as_json())
    except TooManyPresets:
        return say(TOO_MANY, most=PRESETS_EACH)
    return say(REPLACED if replaces else SAVED, name=inline(name, MAX_NAME_LENGTH))


def name_field(custom_id: str) -> ui.Label[Any]:
    field: ui.TextInput[Any] = ui.TextInput(custom_id=custom_id, max_length=MAX_NAME_LENGTH)
    return ui.Label(text=say("Name"), description=say("A preset of the same name is replaced"), component=field)


class PictureAsPresetForm(Modal):
    name = "anima:picture-as-preset"

    @classmethod
    def of(cls, job: Job, index: int) -> Self:
        return cls(say("Save as preset"), [name_field(f"name:{job.id}:{index}")])

    async def on_submit_values(self, interaction: AnimaInteraction, values: Submitted) -> None:
        [(custom_id, name)] = values.items()
        job_id, index = (int(part) for part in custom_id.split(":")[1:])
        job = await interaction.client.database.jobs.get(job_id)
        drawing = JobSpec.of(job) if job is not None and job.parameters else None
        if job is None or drawing is None or job.user_id != interaction.user.id or index >= len(drawing.recipes):
            await reply_privately(interaction, say(LOST))
        else:
            await reply_privately(interaction, await save(interaction, str(name), settings_of_picture(drawing, index)))
