"""An image's post in a gallery: whose it is, how it was made, and its buttons."""

from __future__ import annotations

import discord
from discord import ui

from bot.generation.spec import JobImage
from bot.messages.buttons import gallery_row
from bot.messages.details import settings_line, summary
from bot.messages.layout import StaticLayout
from bot.messages.limits import MAX_ALT_TEXT_LENGTH
from bot.text.markdown import MAX_PROMPT_SHOWN, blockquote, truncate
from bot.text.translation import say
from storage.images import Image


def gallery_post(
    share_id: int,
    shown: JobImage,
    image: Image,
    name: str,
    *,
    hidden: bool,
    original_url: str | None,
    quoted: bool = True,
) -> StaticLayout:
    """`name`: the attached file's. `hidden`: behind a spoiler. `original_url`: the original message, if others see it.

    quoted: whether the prompt may be shown.
    """
    words = truncate(image.prompt, MAX_ALT_TEXT_LENGTH) if quoted else ""
    item = discord.MediaGalleryItem(f"attachment://{name}", description=words or None, spoiler=hidden)
    quote = [blockquote(shown.job.prompt, MAX_PROMPT_SHOWN)] if quoted else []
    text = "\n".join([*quote, f"-# {_credit(shown, original_url)}"])
    row = gallery_row(shown.job.id, image.index, share_id)
    return StaticLayout(ui.TextDisplay(text), ui.MediaGallery(item), row)


def _credit(shown: JobImage, original_url: str | None) -> str:
    spec = shown.spec
    settings = settings_line(shown.recipe, usual_model=spec.usual_model) if spec.comparison is None else summary(spec)
    parts = [say("by {person}", person=f"<@{shown.job.user_id}>"), settings]
    if original_url is not None:
        parts.append(f"[{say('original message')}]({original_url})")
    return " · ".join(parts)
