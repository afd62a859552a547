"""Saves presets, and the form that makes a preset from an image."""

from __future__ import annotations

from typing import Any, Self

from discord import ui

from bot.components.base import AnimaInteraction, Modal, Submitted, defer_privately, load_image
from bot.components.edit_again import refuse_form
from bot.generation.errors import InvalidForm
from bot.generation.options import Options
from bot.generation.presets import MAX_NAME_LENGTH, is_valid_name, on_one_line, preset_of_image
from bot.generation.spec import JobImage
from bot.messages.replies import Loading, note_loading, reply_privately
from bot.text.markdown import inline
from bot.text.translation import N_, say
from storage.preferences import MAX_PRESETS, TooManyPresets

LOST = N_("This picture's settings are no longer saved, so no preset was made.")
NO_NAME = N_("Nothing was saved. A preset's name must have 1 to {longest} characters.")
SAVED = N_("Saved as “{name}”. Use it with `/anima imagine preset:`.")
REPLACED = N_("Replaced your preset “{name}”. Use it with `/anima imagine preset:`.")
TOO_MANY = N_(
    "Nothing was saved. You already have {most} presets, the maximum. Delete one first with `/anima preferences`."
)


class ImagePresetModal(Modal):
    name = "anima:picture-as-preset"
    open_to_blocked = True

    @classmethod
    def of(cls, image: JobImage) -> Self:
        return cls(say("Save as preset"), [name_field(f"name:{image.job.id}:{image.index}")])

    async def on_values(self, interaction: AnimaInteraction, values: Submitted) -> None:
        await defer_privately(interaction)
        note_loading(interaction, Loading.PRIVATE)
        image = await _image(interaction, values)
        if image is None:
            await reply_privately(interaction, say(LOST))
            return
        try:
            outcome = await save(interaction, str(next(iter(values.values()))), preset_of_image(image))
        except InvalidForm as error:
            await refuse_form(interaction, self, values, str(error))
        else:
            await reply_privately(interaction, outcome)

    async def reopened(self, interaction: AnimaInteraction, fields: Submitted) -> Self | str:
        image = await _image(interaction, fields)
        return say(LOST) if image is None else self.of(image)


async def _image(interaction: AnimaInteraction, fields: Submitted) -> JobImage | None:
    """The image that a form was opened for, if it is still there."""
    job_id, index = (int(part) for part in next(iter(fields)).split(":")[1:])
    return await load_image(interaction, job_id, index)


def name_field(custom_id: str) -> ui.Label[Any]:
    field: ui.TextInput[Any] = ui.TextInput(custom_id=custom_id, max_length=MAX_NAME_LENGTH)
    return ui.Label(text=say("Name"), description=say("Replaces your preset of the same name"), component=field)


async def save(interaction: AnimaInteraction, typed: str, options: Options) -> str:
    """Saves a preset under the typed name; returns the result in a sentence. Raises InvalidForm."""
    name = on_one_line(typed)
    if not is_valid_name(name):
        raise InvalidForm(say(NO_NAME, longest=MAX_NAME_LENGTH))
    preferences = interaction.client.database.preferences
    replaces = await preferences.preset(interaction.user.id, name) is not None
    try:
        await preferences.save_preset(interaction.user.id, name, options.as_json())
    except TooManyPresets as error:
        raise InvalidForm(say(TOO_MANY, most=MAX_PRESETS)) from error
    return say(REPLACED if replaces else SAVED, name=inline(name, MAX_NAME_LENGTH))
