"""Shows the chosen image again in the answers of *More…*."""

from __future__ import annotations

from typing import Any

from discord import ui

from bot.components.base import AnimaInteraction
from bot.generation.spec import JobImage
from bot.messages.attachments import gallery_media
from bot.messages.buttons import custom_ids_in


def shown_media(interaction: AnimaInteraction, image: JobImage) -> dict[str, Any] | None:
    """An image as the message shows it where the button is.

    A job's message, and what *More…* answers to it, show all of its images; other private answers this one first.
    """
    message = interaction.message
    media = [] if message is None else gallery_media(message)
    shows_all = message is not None and f"anima:pick:{image.job.id}" in custom_ids_in(message)
    index = image.index if shows_all or (message is not None and message.id == image.job.message_id) else 0
    return {"media": media[index].url, "spoiler": image.job.spoiler} if index < len(media) else None


def small_picture(interaction: AnimaInteraction, image: JobImage, words: str) -> ui.Item[Any]:
    """Words with the image beside them: it may be out of sight by then, and a private one can be had only from here."""
    text, shown = ui.TextDisplay[Any](words), shown_media(interaction, image)
    return text if shown is None else ui.Section(text, accessory=ui.Thumbnail(**shown))
