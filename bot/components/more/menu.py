"""*More…* under an image, and the menu that picks one of several images. Only the user who pressed sees the answer."""

from __future__ import annotations

from typing import Any

import discord
from discord import ui

from bot.components.base import AnimaInteraction, JobComponent, defer_privately, load_image
from bot.components.images import NO_LONGER_SAVED
from bot.components.more.offers import COMPARED, CONTINUE, KEEP, WHOLE, offered
from bot.components.more.picture import shown_media, small_picture
from bot.generation.spec import JobImage
from bot.messages.buttons import (
    CELL_ACTIONS,
    PICK_TEMPLATE,
    SINGLE_ACTIONS,
    action_row,
    image_labels,
    image_template,
    pick_select,
    rows_of,
)
from bot.messages.details import settings_line
from bot.messages.layout import StaticLayout
from bot.text.markdown import inline
from bot.text.translation import say


class More(JobComponent, template=image_template("more")):
    """Shows what else can be done with a message's image; with several, all of them and a menu to pick one."""

    open_to_blocked = True

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await defer_privately(interaction)
        image = await load_image(interaction, self.job_id, self.index)
        if image is None:
            view = StaticLayout(ui.TextDisplay(say(NO_LONGER_SAVED)))
        elif len(image.spec.recipes) == 1:
            view = await _for_single(interaction, image)
        else:
            view = await _for_several(interaction, image)
        await interaction.edit_original_response(view=view)


class Pick(JobComponent, template=PICK_TEMPLATE):
    """Shows one image of several by itself, with buttons of its own."""

    open_to_blocked = True

    async def on_use(self, interaction: AnimaInteraction) -> None:
        data: Any = interaction.data
        chosen = data["values"][0]
        index = int(chosen) if chosen.isascii() and chosen.isdigit() else -1
        await defer_privately(interaction)
        image = await load_image(interaction, self.job_id, index)
        if image is None:
            view = StaticLayout(ui.TextDisplay(say(NO_LONGER_SAVED)))
        elif image.spec.comparison is not None:
            view = await _cell(interaction, image)
        else:
            view = await _one_of_several(interaction, image)
        await interaction.edit_original_response(view=view)


async def _for_single(interaction: AnimaInteraction, image: JobImage) -> StaticLayout:
    view = StaticLayout(small_picture(interaction, image, f"**{say('More for this picture')}**"))
    further = await offered(CONTINUE, interaction, image, but=SINGLE_ACTIONS)
    rest = [*await offered(KEEP, interaction, image), "delete"]
    return _with_rows(view, image, further, rest)


async def _for_several(interaction: AnimaInteraction, image: JobImage) -> StaticLayout:
    """Shows all images again: one is picked from them, and a private one can only be fetched from here."""
    view = StaticLayout(ui.TextDisplay(f"**{say('More for these pictures')}**"))
    shown = [shown_media(interaction, JobImage(image.job, image.spec, at)) for at in range(len(image.spec.recipes))]
    if gallery := [discord.MediaGalleryItem(**media) for media in shown if media is not None]:
        view.add_item(ui.MediaGallery(*gallery))
    view.add_item(ui.ActionRow(pick_select(image.job.id, image.spec)))
    return _with_rows(view, image, await offered(WHOLE, interaction, image))


async def _one_of_several(interaction: AnimaInteraction, image: JobImage) -> StaticLayout:
    view = StaticLayout(ui.TextDisplay(f"**{inline(image_labels(image.spec)[image.index], 100)}**"))
    if (media := shown_media(interaction, image)) is not None:
        view.add_item(ui.MediaGallery(discord.MediaGalleryItem(**media)))
    further, rest = await offered(CONTINUE, interaction, image), await offered(KEEP, interaction, image)
    return _with_rows(view, image, further, rest)


def _with_rows(view: StaticLayout, image: JobImage, *groups: list[str]) -> StaticLayout:
    for group in groups:
        for row in rows_of(group, image.job.id, image.index):
            view.add_item(row)
    return view


async def _cell(interaction: AnimaInteraction, image: JobImage) -> StaticLayout:
    label = f"**{inline(image_labels(image.spec)[image.index], 100)}**"
    text = ui.TextDisplay[Any](f"{label}\n-# {settings_line(image.recipe, usual_model=image.spec.usual_model)}")
    view = StaticLayout(text, action_row(CELL_ACTIONS, image.job.id, image.index))
    return _with_rows(view, image, await offered(COMPARED, interaction, image))


HANDLERS = (More, Pick)
