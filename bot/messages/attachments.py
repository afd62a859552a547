"""Images in messages, fetched from Discord alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import aiohttp
import discord
from discord.asset import Asset

from bot.generation.errors import UnusableImage
from bot.text.translation import say

MAX_FILE = 25 << 20
"""Bytes of a file that is looked into."""
TIMEOUT = aiohttp.ClientTimeout(total=60)
PICTURE_TYPES = ("image/png", "image/jpeg", "image/webp")

TOO_LARGE = "That file is too large to be drawn from; {limit} MiB is the most."
GONE = "Discord does not hand that picture out any more."


async def fetch(client: discord.Client, url: str, size: int | None = None) -> bytes:
    """A file that Discord keeps, whatever it is. Addresses of elsewhere are never opened, nor do redirects lead there.

    `size`: bytes, as far as Discord says so; no more than `MAX_FILE` are taken in any case. Raises UnusableImage.
    """
    if size is not None and size > MAX_FILE:
        raise UnusableImage(say(TOO_LARGE, limit=MAX_FILE >> 20))
    if not is_kept_by_discord(url):
        raise UnusableImage(say(GONE))
    data = bytearray()
    try:
        async with (
            aiohttp.ClientSession(connector=client.http.connector, connector_owner=False, timeout=TIMEOUT) as session,
            session.get(url, allow_redirects=False, proxy=client.http.proxy) as response,
        ):
            if response.status != 200:
                raise UnusableImage(say(GONE))
            async for piece in response.content.iter_any():
                data += piece
                if len(data) > MAX_FILE:
                    raise UnusableImage(say(TOO_LARGE, limit=MAX_FILE >> 20))
    except (aiohttp.ClientError, TimeoutError) as error:
        raise UnusableImage(say(GONE)) from error
    return bytes(data)


def is_kept_by_discord(url: str) -> bool:
    return url.startswith((f"{Asset.BASE}/attachments/", f"{Asset.BASE}/ephemeral-attachments/"))


@dataclass(frozen=True)
class AttachedPicture:
    """A picture of a message. `size`: bytes; None for one of our own, of which Discord does not say it."""

    name: str
    url: str
    size: int | None


def attached_to(client: discord.Client, message: discord.Message) -> list[AttachedPicture]:
    """The pictures of a message; of galleries only our own are looked into, since Discord does not say their size."""
    attached = [
        AttachedPicture(attachment.filename, attachment.url, attachment.size)
        for attachment in message.attachments
        if (attachment.content_type or "").partition(";")[0] in PICTURE_TYPES
    ]
    if client.user is not None and message.author.id == client.user.id:
        attached += [
            AttachedPicture(say("picture {number}", number=number), media.url, None)
            for number, media in enumerate(media_of(message), start=1)
        ]
    return attached


def media_of(message: discord.Message) -> list[discord.UnfurledMediaItem]:
    """The uploaded files in a message's galleries; the `attachments` of such a message name none of them."""
    return [media for media in shown_in(message) if media.attachment_id is not None]


def shown_in(message: discord.Message) -> list[discord.UnfurledMediaItem]:
    """Everything in a message's galleries, also what is kept for another message."""
    return [media for component in message.components for media in _media(component)]


def _media(component: discord.Component) -> Iterator[discord.UnfurledMediaItem]:
    if isinstance(component, discord.MediaGalleryComponent):
        yield from (item.media for item in component.items)
    elif isinstance(component, discord.Container):
        for child in component.children:
            yield from _media(child)
