"""What the buttons under an image do, except those that only *More…* shows: these are in `more`.

Everyone who sees an image may build on it, at their own cost. Only its owner and moderators may delete it.
"""

from __future__ import annotations

from typing import Any, ClassVar

from discord import ui

from bot.components.base import (
    ABSTRACT,
    AnimaInteraction,
    JobComponent,
    Modal,
    defer_privately,
    defer_update,
    is_of_another,
    load_image,
    open_form,
)
from bot.components.deletion import delete_job, may_delete
from bot.components.edit_modal import EditModal
from bot.components.info import info_layout
from bot.components.preset_modal import ImagePresetModal
from bot.components.requests import draw_alone, reroll, vary
from bot.components.upscale import upscale
from bot.generation.errors import UnusableImage
from bot.generation.recipe import STRONG, SUBTLE
from bot.generation.spec import JobImage
from bot.jobs.acknowledgement.origin import Origin
from bot.jobs.submission import JobRequest
from bot.messages.buttons import (
    action_row,
    image_template,
)
from bot.messages.layout import StaticLayout
from bot.messages.replies import reply_privately
from bot.text.translation import N_, say
from storage.jobs import Job

NO_LONGER_SAVED = N_("This picture's settings are no longer saved.")
NOT_YOURS_TO_DELETE = N_("Only the person who asked for this picture or a moderator can delete it.")


class FormButton(JobComponent, template=ABSTRACT):
    """A button that opens a form about one image of a job."""

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await open_form(interaction, self._form(interaction))

    async def _form(self, interaction: AnimaInteraction) -> Modal | str:
        image = await load_image(interaction, self.job_id, self.index)
        return say(NO_LONGER_SAVED) if image is None else await self.form_of(interaction, image)

    async def form_of(self, interaction: AnimaInteraction, image: JobImage) -> Modal:
        """The form; the image is there and the person may see it."""
        raise NotImplementedError


class RequestButton(JobComponent, template=ABSTRACT):
    """A button that draws something from an image."""

    #: Whether only the one who asked for the image may have it.
    owner_only: ClassVar[bool] = False

    async def on_use(self, interaction: AnimaInteraction) -> None:
        """Acknowledges the interaction before the image is looked up."""
        client = interaction.client
        origin = await Origin.acknowledge(interaction, ephemeral=client.submitter.is_private(self.job_id))
        image = await load_image(interaction, self.job_id, self.index, owner_only=self.owner_only)
        if image is None:
            await reply_privately(interaction, say(NO_LONGER_SAVED))
            return
        try:
            request = await self.request(interaction, image)
        except UnusableImage as error:
            await reply_privately(interaction, str(error))
        else:
            await interaction.client.submitter.submit(origin, request)

    async def request(self, interaction: AnimaInteraction, image: JobImage) -> JobRequest:
        raise NotImplementedError


class Reroll(RequestButton, template=image_template("reroll")):
    """Draws the same again, with new seeds."""

    async def request(self, interaction: AnimaInteraction, image: JobImage) -> JobRequest:
        return reroll(image)


class DrawAlone(RequestButton, template=image_template("alone")):
    """Draws one image of a comparison by itself, as it is there."""

    async def request(self, interaction: AnimaInteraction, image: JobImage) -> JobRequest:
        return draw_alone(image)


class VarySubtly(RequestButton, template=image_template("vary-subtly")):
    """Draws nearly the same."""

    async def request(self, interaction: AnimaInteraction, image: JobImage) -> JobRequest:
        return vary(image, SUBTLE)


class VaryStrongly(RequestButton, template=image_template("vary-strongly")):
    """Draws something similar."""

    async def request(self, interaction: AnimaInteraction, image: JobImage) -> JobRequest:
        return vary(image, STRONG)


class Upscale(RequestButton, template=image_template("upscale")):
    """Draws the image larger, with more detail."""

    async def request(self, interaction: AnimaInteraction, image: JobImage) -> JobRequest:
        return await upscale(interaction, image)


class Edit(FormButton, template=image_template("edit")):
    """Opens a form with the image's prompt and settings."""

    async def form_of(self, interaction: AnimaInteraction, image: JobImage) -> Modal:
        return await EditModal.of(interaction, image)


class EditAll(FormButton, template=image_template("edit-all")):
    """Opens one form for all of a job's images."""

    async def form_of(self, interaction: AnimaInteraction, image: JobImage) -> Modal:
        return await EditModal.of_all(interaction, image)


class Info(JobComponent, template=image_template("info")):
    """Shows everything about an image to the user who pressed."""

    open_to_blocked = True

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await defer_privately(interaction)
        image = await load_image(interaction, self.job_id, self.index)
        if image is None:
            await interaction.edit_original_response(view=StaticLayout(ui.TextDisplay(say(NO_LONGER_SAVED))))
            return
        view, files = await info_layout(interaction, image)
        view.add_item(action_row(("save-as-preset",), image.job.id, image.index))
        await interaction.edit_original_response(view=view, attachments=files)


class SaveAsPreset(FormButton, template=image_template("save-as-preset")):
    """Opens a form to name a preset with the image's settings."""

    open_to_blocked = True

    async def form_of(self, interaction: AnimaInteraction, image: JobImage) -> Modal:
        return ImagePresetModal.of(image)


class Delete(JobComponent, template=image_template("delete")):
    """Asks whether to delete a message with its images: for its owner, or a moderator."""

    open_to_blocked = True

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await defer_privately(interaction)
        job = await interaction.client.database.jobs.get(self.job_id)
        if job is None or await is_of_another(interaction, job):
            view = StaticLayout(ui.TextDisplay(say(NO_LONGER_SAVED)))
        elif not await may_delete(interaction, job):
            view = StaticLayout(ui.TextDisplay(say(NOT_YOURS_TO_DELETE)))
        else:
            question = ui.TextDisplay[Any](_deletion_question(interaction, job))
            view = StaticLayout(question, action_row(("delete-for-good",), job.id))
        await interaction.edit_original_response(view=view)


def _deletion_question(interaction: AnimaInteraction, job: Job) -> str:
    if interaction.user.id == job.user_id:
        return say("Delete this picture for everyone and from your history?")
    return say("Delete this picture for everyone and from {who}'s history?", who=f"<@{job.user_id}>")


class DeleteForGood(JobComponent, template=image_template("delete-for-good")):
    open_to_blocked = True

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await defer_update(interaction)
        job = await interaction.client.database.jobs.get(self.job_id)
        if job is None or await is_of_another(interaction, job):
            outcome = say(NO_LONGER_SAVED)
        elif not await may_delete(interaction, job):
            outcome = say(NOT_YOURS_TO_DELETE)
        else:
            outcome = await delete_job(interaction.client, job, interaction.user.id)
        await interaction.edit_original_response(view=StaticLayout(ui.TextDisplay(outcome)))


HANDLERS = (
    *(Reroll, DrawAlone, VarySubtly, VaryStrongly, Upscale, Edit, EditAll, Info, SaveAsPreset),
    *(Delete, DeleteForGood),
)
