"""The buttons under a description: *Draw this* and *Edit…*, and the form that *Edit…* opens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

from discord import ui

from bot.components.base import ABSTRACT, AnimaInteraction, Component, Modal, Submitted, open_form
from bot.components.edit_again import refuse_form
from bot.components.edit_modal import text_field
from bot.generation.compose import ModelInfo
from bot.generation.errors import InvalidOption
from bot.generation.options import Options
from bot.generation.sizes import Size, size_like
from bot.generation.typed.command import TypedOptions
from bot.jobs.acknowledgement.origin import Origin
from bot.jobs.describing.describer import Description
from bot.jobs.submission import JobRequest
from bot.messages.buttons import DRAW_DESCRIPTION_TEMPLATE, EDIT_DESCRIPTION_TEMPLATE
from bot.messages.replies import reply_privately
from bot.text.translation import N_, say
from storage.preferences import Draft

NO_LONGER_SAVED = N_("This description is no longer saved. Describe the picture again.")


class _DescriptionButton(Component, template=ABSTRACT):
    def __init__(self, item: ui.Item[Any], description_id: int) -> None:
        super().__init__(item)
        self.description_id = description_id


class DrawDescription(_DescriptionButton, template=DRAW_DESCRIPTION_TEMPLATE):
    async def on_use(self, interaction: AnimaInteraction) -> None:
        origin = await _acknowledge(interaction)
        description = await _load(interaction, self.description_id)
        if description is None:
            await reply_privately(interaction, say(NO_LONGER_SAVED))
            return
        model = (await interaction.client.submitter.model_choice(interaction)).model()
        options = Options(private=origin.private, size=await _size(interaction, model, description))
        await interaction.client.submitter.submit(
            origin, JobRequest(kind="imagine", prompt=description.prompt, options=options)
        )


class EditDescription(_DescriptionButton, template=EDIT_DESCRIPTION_TEMPLATE):
    async def on_use(self, interaction: AnimaInteraction) -> None:
        await open_form(interaction, _form(interaction, self.description_id))


class DescriptionModal(Modal):
    name = "anima:description-form"

    @classmethod
    def of(cls, description: Description) -> Self:
        return cls(
            say("Edit"),
            [
                text_field(say("Prompt"), f"prompt:{description.id}", description.prompt, long=True, required=True),
                text_field(say("Negative prompt"), f"negative:{description.id}", "", long=True),
            ],
        )

    async def on_values(self, interaction: AnimaInteraction, values: Submitted) -> None:
        origin = await _acknowledge(interaction)
        description = await _load(interaction, _id_in(values))
        if description is None:
            await reply_privately(interaction, say(NO_LONGER_SAVED))
            return
        fields = {key.partition(":")[0]: str(value) for key, value in values.items()}
        submitter = interaction.client.submitter
        try:
            model = (await submitter.model_choice(interaction)).model()
            typed = TypedOptions(
                prompt=fields["prompt"], negative=fields.get("negative") or None, private=origin.private
            ).read(model)
        except InvalidOption as error:
            await refuse_form(interaction, self, values, str(error))
            return
        options = replace(typed.options, size=await _size(interaction, model, description))
        request = JobRequest(
            kind="imagine",
            prompt=typed.prompt,
            options=options,
            note="\n".join(typed.notes),
            draft=Draft(self.name, values),
        )
        await submitter.submit(origin, request)

    async def reopened(self, interaction: AnimaInteraction, fields: Submitted) -> Modal | str:
        return await _form(interaction, _id_in(fields))


async def _form(interaction: AnimaInteraction, description_id: int) -> Modal | str:
    description = await _load(interaction, description_id)
    return say(NO_LONGER_SAVED) if description is None else DescriptionModal.of(description)


async def _acknowledge(interaction: AnimaInteraction) -> Origin:
    privately = interaction.client.submitter.answers_privately(interaction, Options())
    return await Origin.acknowledge(interaction, ephemeral=privately)


async def _load(interaction: AnimaInteraction, description_id: int) -> Description | None:
    return await interaction.client.describer.stored(interaction.user.id, description_id)


async def _size(interaction: AnimaInteraction, model: ModelInfo, description: Description) -> Size:
    """The described image's shape, at a size that the model draws and the server allows."""
    limits = await interaction.client.submitter.limits(interaction, model.native)
    return size_like(description.size, model.native.sizes, limits.side, limits.area)


def _id_in(fields: Submitted) -> int:
    return int(next(iter(fields)).partition(":")[2])


HANDLERS = (DrawDescription, EditDescription)
