"""The button *Describe* in the answer of *Anima: parameters*, and what is stored about the message's images for it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from discord import ui

from bot.components.base import AnimaInteraction, Component, save_draft
from bot.components.description.answer import answer_with_description
from bot.jobs.acknowledgement.origin import Origin
from bot.jobs.describing.describer import OFF
from bot.messages.attachments import AttachedImage, fetch_source
from bot.messages.buttons import DESCRIBE_TEMPLATE, describe_row
from bot.messages.replies import reply_privately
from bot.text.translation import N_, say
from storage.backend.errors import StorageUnavailable

logger = logging.getLogger(__name__)

#: The kind of draft that stores the images: Discord's URLs are valid for about as long as a draft.
DRAFT = "anima:describable"

NO_LONGER_SAVED = N_("I no longer know which picture that was. Use `/anima describe` instead.")


class Describe(Component, template=DESCRIBE_TEMPLATE):
    def __init__(self, item: ui.Item[Any], draft_id: int, index: int) -> None:
        super().__init__(item)
        self.draft_id = draft_id
        self.index = index

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await Origin.acknowledge(interaction, ephemeral=True)
        if not interaction.client.describer.is_on:
            await reply_privately(interaction, say(OFF))
            return
        draft = await interaction.client.database.preferences.draft(interaction.user.id, self.draft_id)
        images = draft.fields["images"] if draft is not None and draft.form == DRAFT else []
        if self.index >= len(images):
            await reply_privately(interaction, say(NO_LONGER_SAVED))
            return
        image = AttachedImage(**images[self.index])
        await answer_with_description(interaction, partial(fetch_source, interaction.client, image))


async def describe_buttons(interaction: AnimaInteraction, images: Sequence[AttachedImage]) -> ui.View | None:
    """A button for each image. None if describing is switched off, or the images cannot be remembered now."""
    if not interaction.client.describer.is_on:
        return None
    try:
        draft_id = await save_draft(interaction, DRAFT, {"images": [asdict(image) for image in images]})
    except StorageUnavailable as error:
        logger.warning("the describe button could not be offered: %s", error)
        return None
    view = ui.View(timeout=None)
    for button in describe_row(draft_id, len(images)).children:
        view.add_item(button)
    view.stop()  # the button's handler is found by its custom_id
    return view


HANDLERS = (Describe,)
