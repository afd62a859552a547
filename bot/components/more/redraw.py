"""*Redraw part…*: the user picks cells of a grid over an image, sees them marked, and redraws them with a form."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Collection
from dataclasses import replace
from typing import Any, Self

import discord
from discord import ui

from bot.components.base import (
    ABSTRACT,
    AnimaInteraction,
    JobComponent,
    Modal,
    Submitted,
    defer_privately,
    defer_update,
    image_of,
    load_image,
    open_form,
)
from bot.components.edit_again import refuse_form
from bot.components.edit_modal import EditSource, text_field
from bot.components.images import NO_LONGER_SAVED, RequestButton
from bot.components.more.picture import small_picture
from bot.components.more.posted_file import posted_file
from bot.generation.errors import InvalidForm, InvalidOption, UnusableImage
from bot.generation.redraw.area import Area, cells_of, cells_of_group, known_cells, number_of
from bot.generation.redraw.cell_picture import MAX_PREVIEW_SIDE, cell_picture
from bot.generation.spec import JobImage, JobSpec
from bot.generation.values import MIN_DENOISE
from bot.jobs.acknowledgement.origin import Origin
from bot.jobs.engines import ModelUnavailable
from bot.jobs.submission import JobRequest
from bot.messages.buttons import (
    CLEAR,
    REDRAW_TEMPLATES,
    cells_select,
    image_template,
    lines_select,
    redraw_cells_button,
)
from bot.messages.layout import StaticLayout
from bot.messages.replies import reply_privately
from bot.text.formats import decimal
from bot.text.numbers import number
from bot.text.translation import N_, say, say_plural
from storage.preferences import Draft

#: Of the jobs.
KIND = "redraw"
CELLS_FILE = "cells.jpg"
#: Redraws a part completely: what is outside stays anyway.
DENOISE = 1.0
#: Draws another background, and changes the person in these cells less than 1 does (docs/benchmarks.md).
BACKGROUND_DENOISE = 0.75
#: Seconds; the cells are shown without it then.
COST_TIMEOUT = 5
CHOOSE_FIRST = N_("Choose at least one cell first.")
NOT_A_DENOISE = N_("Write denoise as a number from {least} to 1, such as 0.7.")
#: In tiles, each of which would draw all of the prompt in its part of the cells.
TOO_LARGE = N_(
    "This picture is too large to redraw a part of it. Redraw the part in the picture that it was upscaled from, and "
    "upscale the result."
)
BACKGROUND_HINT = N_(
    "To change the background, choose every cell that shows some of it. A denoise of about {share} keeps the shapes."
)
NO_TRANSPARENCY = N_("The transparent parts of that picture are no longer saved.")


class RedrawPart(JobComponent, template=image_template("redraw")):
    """Shows an image under the grid."""

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await defer_privately(interaction)
        await _show_cells(interaction, self.job_id, self.index, ())


class ChooseCells(JobComponent, template=REDRAW_TEMPLATES["cells"]):
    """Shows which cells were chosen."""

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await defer_update(interaction)
        await _show_cells(interaction, self.job_id, self.index, known_cells(_values(interaction)))


class CellsComponent(JobComponent, template=ABSTRACT):
    """A component that knows the cells chosen before."""

    def __init__(self, item: ui.Item[Any], job_id: int, index: int, cells: int) -> None:
        super().__init__(item, job_id, index)
        self.cells = cells_of(cells)


class ChooseLines(CellsComponent, template=REDRAW_TEMPLATES["lines"]):
    """Adds groups of cells to the chosen ones, which it may clear before."""

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await defer_update(interaction)
        names = _values(interaction)
        added = [cell for name in names for cell in cells_of_group(name)]
        kept = () if CLEAR in names else self.cells
        await _show_cells(interaction, self.job_id, self.index, known_cells([*kept, *added]))


class RedrawChosen(CellsComponent, template=REDRAW_TEMPLATES["chosen"]):
    """Opens the form for the chosen cells."""

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await open_form(interaction, self._form(interaction))

    async def _form(self, interaction: AnimaInteraction) -> Modal | str:
        if not self.cells:
            return say(CHOOSE_FIRST)
        found = await _redrawable(interaction, self.job_id, self.index)
        if isinstance(found, str):
            return found
        last = await interaction.client.database.jobs.newest_from(
            self.job_id, self.index, kind=KIND, user_id=interaction.user.id
        )
        return RedrawModal.of(found, self.cells, None if last is None else image_of(interaction, last))


class RedrawModal(Modal):
    name = "anima:redraw-form"

    @classmethod
    def of(cls, image: JobImage, cells: Collection[str], last: JobImage | None = None) -> Self:
        """`last`: the user's last redraw of the image, whose prompt and denoise the form begins with."""
        at = f"{image.job.id}:{image.index}:{number_of(cells)}:{0 if last is None else last.job.id}"
        source = _edit_source(image, last)
        denoise = DENOISE if last is None else last.recipe.denoise
        least, share = decimal(MIN_DENOISE), decimal(BACKGROUND_DENOISE)
        return cls(
            say("Redraw a part"),
            [
                text_field(
                    say("Prompt for the whole picture"),
                    f"prompt:{at}",
                    source.prompt_with_loras,
                    long=True,
                    required=True,
                ),
                text_field(
                    say("Denoise, {least} to 1 (1: all new)", least=least),
                    f"strength:{at}",
                    f"{denoise:g}",
                    required=True,
                    about=say("Lower values keep more of the old shapes. For a background: about {share}", share=share),
                ),
            ],
        )

    async def on_values(self, interaction: AnimaInteraction, values: Submitted) -> None:
        job_id, index, cells, last_id = _target(values)
        client = interaction.client
        origin = await Origin.acknowledge(interaction, ephemeral=client.submitter.is_private(job_id))
        image = await _redrawable(interaction, job_id, index) if cells else say(NO_LONGER_SAVED)
        if isinstance(image, str):
            await reply_privately(interaction, image)
            return
        typed = {key.partition(":")[0]: str(value) for key, value in values.items()}
        source = _edit_source(image, await _own_job(interaction, last_id))
        try:
            denoise = _denoise(typed["strength"])
            prompt, loras = source.read_prompt(typed["prompt"], await client.model())
            file = await posted_file(interaction, image)
        except (InvalidForm, InvalidOption) as error:
            await refuse_form(interaction, self, values, str(error))
            return
        except UnusableImage as error:
            await reply_privately(interaction, str(error))
            return
        size = (image.recipe.width, image.recipe.height)
        request = JobRequest(
            kind=KIND,
            prompt=prompt,
            options=replace(source.options, loras=loras, size=size, denoise=denoise, count=1),
            source=file,
            area=Area(cells=cells),
            parent=image,
            draft=Draft(self.name, values),
        )
        await client.submitter.submit(origin, request)

    async def reopened(self, interaction: AnimaInteraction, fields: Submitted) -> Self | str:
        job_id, index, cells, last_id = _target(fields)
        found = await _redrawable(interaction, job_id, index) if cells else say(NO_LONGER_SAVED)
        return found if isinstance(found, str) else self.of(found, cells, await _own_job(interaction, last_id))


class RedrawTransparent(RequestButton, template=image_template("redraw-transparent")):
    """Redraws what was transparent in the image that a job was drawn from.

    The rest of that image stays as it is, and nobody else has seen it.
    """

    owner_only = True

    async def request(self, interaction: AnimaInteraction, image: JobImage) -> JobRequest:
        mask = await interaction.client.database.source_images.mask_of_job(image.job.id)
        if mask is None:
            raise UnusableImage(say(NO_TRANSPARENCY))
        return JobRequest(
            kind=KIND,
            prompt=image.job.prompt,
            options=replace(image.spec.options, denoise=1.0),
            area=Area(masked=True),
            mask=mask,
            parent=image,
        )


async def _show_cells(interaction: AnimaInteraction, job_id: int, index: int, cells: Collection[str]) -> None:
    """Shows the image under the grid in the answer, with the menus to choose cells."""
    image = await _redrawable(interaction, job_id, index)
    try:
        if isinstance(image, str):
            raise UnusableImage(image)
        file = await posted_file(interaction, image, MAX_PREVIEW_SIDE)
    except UnusableImage as error:
        await interaction.edit_original_response(view=StaticLayout(ui.TextDisplay(str(error))), attachments=[])
        return
    picture = await asyncio.to_thread(cell_picture, file, cells)
    view = _cells_layout(interaction, image, cells, await _cost(interaction, image))
    await interaction.edit_original_response(
        view=view, attachments=[discord.File(io.BytesIO(picture), CELLS_FILE, spoiler=image.job.spoiler)]
    )


async def _cost(interaction: AnimaInteraction, image: JobImage) -> str:
    """What redrawing a part costs, in a sentence; empty without a quota, or while the models are not known."""
    client = interaction.client
    if (await client.allowance(interaction)).credits is None:
        return ""
    try:
        async with asyncio.timeout(COST_TIMEOUT):
            models = await client.model()
    except (TimeoutError, ModelUnavailable):
        return ""
    cost = JobSpec(recipes=(image.recipe,)).cost(models.default.native, models.work_of)
    return say_plural("Costs {credits} credit.", "Costs {credits} credits.", cost, credits=decimal(cost))


async def _redrawable(interaction: AnimaInteraction, job_id: int, index: int) -> JobImage | str:
    """An image of which a part can be redrawn, or why it cannot."""
    image = await load_image(interaction, job_id, index)
    if image is None or image.spec.comparison is not None:
        return say(NO_LONGER_SAVED)
    return image if image.recipe.tile is None else say(TOO_LARGE)


def _cells_layout(interaction: AnimaInteraction, image: JobImage, cells: Collection[str], cost: str) -> StaticLayout:
    chosen = say("Chosen: {cells}", cells=", ".join(cells)) if cells else say("Choose the cells to redraw.")
    hint = say(BACKGROUND_HINT, share=decimal(BACKGROUND_DENOISE))
    lines = [f"**{say('Redraw a part')}**", chosen, *(f"-# {line}" for line in (hint, cost) if line)]
    name = f"SPOILER_{CELLS_FILE}" if image.job.spoiler else CELLS_FILE
    alt = say("The picture under a grid: columns A to E from the left, rows 1 to 5 from the top.")
    if cells:
        alt = f"{alt} {chosen}"
    view = StaticLayout(
        small_picture(interaction, image, "\n".join(lines)),
        ui.MediaGallery(discord.MediaGalleryItem(f"attachment://{name}", description=alt, spoiler=image.job.spoiler)),
        ui.ActionRow(cells_select(image.job.id, image.index, cells)),
        ui.ActionRow(lines_select(image.job.id, image.index, cells)),
    )
    if cells:
        view.add_item(ui.ActionRow(redraw_cells_button(image.job.id, image.index, cells)))
    return view


def _values(interaction: AnimaInteraction) -> list[str]:
    data: Any = interaction.data
    return [str(value) for value in data.get("values", ())]


def _target(fields: Submitted) -> tuple[int, int, tuple[str, ...], int]:
    """By the custom_ids of a form's fields: the image and the cells it was opened for, and the job it began with.

    That job is 0 if there was none, and missing in forms of earlier releases.
    """
    _, job_id, index, cells, *last = next(iter(fields)).split(":")
    return int(job_id), int(index), cells_of(int(cells)), int(last[0]) if last else 0


async def _own_job(interaction: AnimaInteraction, job_id: int) -> JobImage | None:
    """A job's only image; None for 0 and for others' jobs."""
    return await load_image(interaction, job_id, owner_only=True) if job_id else None


def _edit_source(image: JobImage, last: JobImage | None) -> EditSource:
    """What a form shows of an image: its prompt and LoRAs, or those of the user's last redraw."""
    source = EditSource.one(image)
    if last is None:
        return source
    return replace(source, prompt=last.job.prompt, options=replace(source.options, loras=last.spec.options.loras))


def _denoise(typed: str) -> float:
    """Raises InvalidForm."""
    denoise = number(typed)
    if denoise is None or not MIN_DENOISE <= denoise <= 1:
        raise InvalidForm(say(NOT_A_DENOISE, least=decimal(MIN_DENOISE)))
    return denoise


HANDLERS = (RedrawPart, ChooseCells, ChooseLines, RedrawChosen, RedrawTransparent)
