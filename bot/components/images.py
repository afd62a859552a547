"""What is under a picture: buttons that carry on from it, and a menu to pick one of several.

Their custom_ids name the job and the picture's place in it, so they work after restarts and for pictures of months ago.
Whoever sees a picture may carry on from it, at their own cost; changing its words and deleting it is for its owner.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import discord
from discord import ui

from bot.components import info
from bot.components.base import AnimaInteraction, Component, StaticLayout, reply_privately
from bot.components.deletion import delete_job, may_delete
from bot.components.edit_modal import EditForm
from bot.components.preset_modal import PictureAsPresetForm
from bot.generation.spec import JobSpec
from bot.messages.attachments import media_of
from bot.text.markdown import inline
from bot.text.translation import say
from storage.jobs import Job

SUBTLE, STRONG = 0.2, 0.5
"""How far a variation's noise is from the picture's own, of the way to other noise altogether."""

LABELS: Mapping[str, str] = {
    "reroll": "Re-roll",
    "alone": "Draw this one",
    "vary-subtly": "Vary (subtle)",
    "vary-strongly": "Vary (strong)",
    "upscale": "Upscale",
    "edit": "Edit…",
    "info": "Info",
    "save-as-preset": "Save as preset…",
    "delete": "Delete",
    "delete-for-good": "Delete for everyone",
}
EMOJI: Mapping[str, str] = {
    "reroll": "🎲",
    "alone": "🖼️",
    "vary-subtly": "🌱",
    "vary-strongly": "🌳",
    "upscale": "🔍",
    "edit": "✏️",
    "info": "📋",
    "save-as-preset": "💾",
    "delete": "🗑️",
}

NOT_REMEMBERED = "This belongs to a picture that is not remembered any more."
NOT_YOURS_TO_EDIT = "Only the person who asked for this can edit it. **Re-roll** and **Vary** are open to you."
NOT_YOURS_TO_SAVE = "Only the person who asked for this can save its settings."
NOT_YOURS_TO_DELETE = "Only the person who asked for this, or a moderator, can delete it."

ID = r"([0-9]{1,18}):([0-9]{1,2})"


def shows_pictures_of(job_id: int, message: discord.Message) -> bool:
    """Whether the buttons of pictures that a message has are those of this job."""
    ids = (
        child.custom_id or ""
        for row in message.components
        if isinstance(row, discord.ActionRow)
        for child in row.children
        if isinstance(child, discord.Button | discord.SelectMenu)
    )
    return any(re.fullmatch(rf"anima:[a-z-]+:{job_id}:[0-9]{{1,2}}", custom_id) for custom_id in ids)


class PictureButton(Component, template=r"(?!)"):
    """A button that does something with one picture of a job."""

    action: ClassVar[str]

    def __init__(self, job_id: int, index: int = 0) -> None:
        custom_id = f"anima:{self.action}:{job_id}:{index}"
        super().__init__(ui.Button(label=say(LABELS[self.action]), emoji=EMOJI.get(self.action), custom_id=custom_id))
        self.job_id = job_id
        self.index = index

    async def on_use(self, interaction: AnimaInteraction) -> None:
        found = await load_image(interaction, self.job_id, self.index)
        if found is None:
            await reply_privately(interaction, say(NOT_REMEMBERED))
        else:
            await self.on_press(interaction, *found)

    async def on_press(self, interaction: AnimaInteraction, job: Job, drawing: JobSpec) -> None:
        """Answers a press; the picture is there and the person may see it."""
        raise NotImplementedError


class Reroll(PictureButton, template=rf"anima:reroll:{ID}"):
    """Draws the same once more, with new seeds."""

    action = "reroll"

    async def on_press(self, interaction: AnimaInteraction, job: Job, drawing: JobSpec) -> None:
        acknowledgement = await interaction.response.defer(thinking=True, ephemeral=job.private)
        await interaction.client.intake.reroll(interaction, acknowledgement, job, drawing)


class DrawAlone(PictureButton, template=rf"anima:alone:{ID}"):
    """Draws one picture of a comparison by itself, as it is there."""

    action = "alone"

    async def on_press(self, interaction: AnimaInteraction, job: Job, drawing: JobSpec) -> None:
        acknowledgement = await interaction.response.defer(thinking=True, ephemeral=job.private)
        await interaction.client.intake.draw_alone(interaction, acknowledgement, job, drawing, self.index)


class VarySubtly(PictureButton, template=rf"anima:vary-subtly:{ID}"):
    """Draws what is nearly the same."""

    action = "vary-subtly"
    strength = SUBTLE

    async def on_press(self, interaction: AnimaInteraction, job: Job, drawing: JobSpec) -> None:
        acknowledgement = await interaction.response.defer(thinking=True, ephemeral=job.private)
        await interaction.client.intake.vary(interaction, acknowledgement, job, drawing, self.index, self.strength)


class VaryStrongly(VarySubtly, template=rf"anima:vary-strongly:{ID}"):
    """Draws something akin."""

    action = "vary-strongly"
    strength = STRONG


class Upscale(PictureButton, template=rf"anima:upscale:{ID}"):
    """Draws the picture larger, with more detail."""

    action = "upscale"

    async def on_press(self, interaction: AnimaInteraction, job: Job, drawing: JobSpec) -> None:
        acknowledgement = await interaction.response.defer(thinking=True, ephemeral=job.private)
        await interaction.client.intake.upscale(interaction, acknowledgement, job, drawing, self.index)


class Edit(PictureButton, template=rf"anima:edit:{ID}"):
    """Opens a form with the picture's prompt and settings."""

    action = "edit"

    async def on_press(self, interaction: AnimaInteraction, job: Job, drawing: JobSpec) -> None:
        if job.user_id != interaction.user.id:
            await reply_privately(interaction, say(NOT_YOURS_TO_EDIT))
        else:
            await interaction.response.send_modal(EditForm.of(job, drawing, self.index))


class Info(PictureButton, template=rf"anima:info:{ID}"):
    """Tells the one who asks everything about a picture."""

    action = "info"

    async def on_press(self, interaction: AnimaInteraction, job: Job, drawing: JobSpec) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        view = await info.whole(interaction, job, drawing, self.index)
        if job.user_id == interaction.user.id:
            view.add_item(ui.ActionRow(SaveAsPreset(job.id, self.index)))
        await interaction.edit_original_response(view=view)


class SaveAsPreset(PictureButton, template=rf"anima:save-as-preset:{ID}"):
    """Opens a form to name a preset with the picture's settings."""

    action = "save-as-preset"

    async def on_press(self, interaction: AnimaInteraction, job: Job, drawing: JobSpec) -> None:
        if job.user_id != interaction.user.id:
            await reply_privately(interaction, say(NOT_YOURS_TO_SAVE))
        else:
            await interaction.response.send_modal(PictureAsPresetForm.of(job, self.index))


class Delete(PictureButton, template=rf"anima:delete:{ID}"):
    """Asks whether to delete a message with its pictures: for its owner, or a moderator."""

    action = "delete"

    async def on_use(self, interaction: AnimaInteraction) -> None:
        job = await interaction.client.database.jobs.get(self.job_id)
        if job is None:
            await reply_privately(interaction, say(NOT_REMEMBERED))
        elif not may_delete(interaction, job):
            await reply_privately(interaction, say(NOT_YOURS_TO_DELETE))
        else:
            question = ui.TextDisplay[Any](say("Delete this for everyone, and from the history of who asked for it?"))
            await reply_privately(interaction, StaticLayout(question, ui.ActionRow(DeleteForGood(job.id))))


class DeleteForGood(PictureButton, template=rf"anima:delete-for-good:{ID}"):
    action = "delete-for-good"

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await interaction.response.defer()
        job = await interaction.client.database.jobs.get(self.job_id)
        if job is None:
            said = say(NOT_REMEMBERED)
        elif not may_delete(interaction, job):
            said = say(NOT_YOURS_TO_DELETE)
        else:
            said = await delete_job(interaction.client, job)
        await interaction.edit_original_response(view=StaticLayout(ui.TextDisplay(said)))


class Pick(Component, template=r"anima:pick:([0-9]{1,18})"):
    """Shows one picture of several by itself, with buttons of its own."""

    def __init__(self, job_id: int, labels: list[str] | None = None) -> None:
        options = [discord.SelectOption(label=label, value=str(index)) for index, label in enumerate(labels or [])]
        super().__init__(
            ui.Select(placeholder=say("Pick one of them…"), options=options, custom_id=f"anima:pick:{job_id}")
        )
        self.job_id = job_id

    async def on_use(self, interaction: AnimaInteraction) -> None:
        data: Any = interaction.data
        chosen = data["values"][0]
        index = int(chosen) if chosen.isascii() and chosen.isdigit() else -1
        await interaction.response.defer(ephemeral=True, thinking=True)
        found = await load_image(interaction, self.job_id, index)
        view = (
            StaticLayout(ui.TextDisplay(say(NOT_REMEMBERED))) if found is None else _alone(interaction, *found, index)
        )
        await interaction.edit_original_response(view=view)


async def load_image(interaction: AnimaInteraction, job_id: int, index: int) -> tuple[Job, JobSpec] | None:
    """A job and what it drew, if it has such a picture and the person may see it. A custom_id proves nothing."""
    job = await interaction.client.database.jobs.get(job_id)
    if job is None or not job.parameters or (job.private and job.user_id != interaction.user.id):
        return None
    drawing = JobSpec.of(job)
    return (job, drawing) if 0 <= index < len(drawing.recipes) else None


def picture_buttons(job: Job, drawing: JobSpec) -> list[ui.ActionRow[Any]]:
    """What stands under a job's pictures."""
    if len(drawing.recipes) == 1:
        return [ui.ActionRow(*_carry_on(job.id, 0)), ui.ActionRow(Info(job.id), Delete(job.id))]
    pick: ui.ActionRow[Any] = ui.ActionRow(Pick(job.id, picture_labels(drawing)))
    return [pick, ui.ActionRow(Reroll(job.id), Info(job.id), Delete(job.id))]


def picture_labels(drawing: JobSpec) -> list[str]:
    """What each of several pictures is called."""
    if drawing.comparison is None:
        return [say("Picture {number}", number=number) for number in range(1, len(drawing.recipes) + 1)]
    return [label[:100] for label in drawing.comparison.labels]


def _alone(interaction: AnimaInteraction, job: Job, drawing: JobSpec, index: int) -> StaticLayout:
    label = f"**{inline(picture_labels(drawing)[index], 100)}**"
    if drawing.comparison is not None:
        return StaticLayout(
            ui.TextDisplay(f"{label}\n-# {info.in_words(drawing.recipes[index])}"),
            ui.ActionRow(*(kind(job.id, index) for kind in (DrawAlone, VarySubtly, VaryStrongly, Edit, Info))),
        )
    view = StaticLayout(ui.TextDisplay(label))
    media = media_of(interaction.message) if interaction.message is not None else []
    if index < len(media):
        view.add_item(ui.MediaGallery(discord.MediaGalleryItem(media[index].url, spoiler=job.spoiler)))
    view.add_item(ui.ActionRow(*_carry_on(job.id, index)))
    return view.add_item(ui.ActionRow(Info(job.id, index)))


def _carry_on(job_id: int, index: int) -> list[PictureButton]:
    return [kind(job_id, index) for kind in (Reroll, VarySubtly, VaryStrongly, Upscale, Edit)]


COMPONENTS = (
    *(Reroll, DrawAlone, VarySubtly, VaryStrongly, Upscale, Edit, Info, SaveAsPreset),
    *(Delete, DeleteForGood, Pick),
)
"""What the client has to listen for, whatever message it is under."""
