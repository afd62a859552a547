"""Finds the images in Discord's messages and downloads them, only from Discord."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
import discord
from discord.asset import Asset

from bot.generation.errors import UnusableImage
from bot.generation.source_image import UploadedImage, prepare_mask, prepare_source, prepare_upload
from bot.text.translation import N_, say
from inference.metadata import Parameters, UnreadableImage, read

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: The largest file that is read, in bytes.
MAX_FETCHED_SIZE = 25 << 20
#: How many images of one message are read.
MAX_IMAGES_READ = 4
#: Seconds that a download may take.
MAX_SECONDS = 60.0
#: How often a request is attempted while a user waits, and the seconds in between.
MAX_ATTEMPTS, RETRY_DELAY = 3, 1.0
TOO_MANY_REQUESTS = 429
IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/avif")

NOTHING_ATTACHED = N_("There is no picture in that message.")
TOO_LARGE = N_("That file is too large. The limit is {limit} MB.")
GONE = N_("I couldn't download that picture from Discord. It may have been deleted.")
UNREADABLE = N_("I can't read that file as a picture.")
TELLS_NOTHING = N_("That file has no settings inside. Many sites and chats remove them when a picture is uploaded.")


@dataclass(frozen=True)
class AttachedImage:
    """An image of a message. `size`: bytes; None in the bot's own galleries, where Discord does not say it."""

    name: str
    url: str
    size: int | None


async def fetch_source(client: discord.Client, attachment: discord.Attachment | AttachedImage) -> bytes:
    """An image to draw from, as a PNG file. Raises UnusableImage."""
    data = await fetch(client, attachment.url, attachment.size)
    return await asyncio.to_thread(prepare_source, data)


async def fetch_upload(client: discord.Client, attachment: discord.Attachment) -> UploadedImage:
    """An image to draw from. Raises UnusableImage."""
    data = await fetch(client, attachment.url, attachment.size)
    return await asyncio.to_thread(prepare_upload, data)


async def fetch_mask(client: discord.Client, attachment: discord.Attachment, source: bytes) -> bytes:
    """A mask of an image, as a PNG file. `source`: the file of that image. Raises UnusableImage."""
    data = await fetch(client, attachment.url, attachment.size)
    return await asyncio.to_thread(prepare_mask, data, source)


async def read_parameters(client: discord.Client, image: AttachedImage) -> Parameters:
    """The parameters in an image's file. Raises UnusableImage."""
    data = await fetch(client, image.url, image.size)
    try:
        parameters = await asyncio.to_thread(read, data)
    except UnreadableImage as error:
        raise UnusableImage(say(UNREADABLE)) from error
    if parameters is None:
        raise UnusableImage(say(TELLS_NOTHING))
    return parameters


async def fetch(client: discord.Client, url: str, size: int | None = None) -> bytes:
    """A file on Discord's servers. URLs on other hosts are never opened, and redirects are not followed.

    `size`: bytes, if known. The download stops at `MAX_FETCHED_SIZE` in any case.
    Raises UnusableImage.
    """
    if size is not None and size > MAX_FETCHED_SIZE:
        raise UnusableImage(say(TOO_LARGE, limit=MAX_FETCHED_SIZE >> 20))
    if not is_kept_by_discord(url):
        raise UnusableImage(say(GONE))
    try:
        async with asyncio.timeout(MAX_SECONDS):
            return await asked_again(lambda: _download(client, url))
    except (aiohttp.ClientError, OSError) as error:
        raise UnusableImage(say(GONE)) from error


async def _download(client: discord.Client, url: str) -> bytes:
    """Raises UnusableImage, aiohttp.ClientError, OSError."""
    data = bytearray()
    async with (
        aiohttp.ClientSession(connector=client.http.connector, connector_owner=False) as session,
        session.get(url, allow_redirects=False, proxy=client.http.proxy) as response,
    ):
        if response.status >= 500 or response.status == TOO_MANY_REQUESTS:
            response.raise_for_status()
        if response.status != 200:
            raise UnusableImage(say(GONE))
        async for piece in response.content.iter_any():
            data += piece
            if len(data) > MAX_FETCHED_SIZE:
                raise UnusableImage(say(TOO_LARGE, limit=MAX_FETCHED_SIZE >> 20))
    return bytes(data)


async def asked_again(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask Discord while a user waits: up to MAX_ATTEMPTS times if the connection or Discord fails.

    Raises the last attempt's error; timeouts and errors that are an answer are raised at once.
    """
    for _ in range(MAX_ATTEMPTS - 1):
        try:
            return await ask()
        except TimeoutError:
            raise
        except (aiohttp.ClientError, OSError) as error:
            logger.info("asked again, because Discord did not answer (%s)", error)
        await asyncio.sleep(RETRY_DELAY)
    return await ask()


def is_kept_by_discord(url: str) -> bool:
    return url.startswith((f"{Asset.BASE}/attachments/", f"{Asset.BASE}/ephemeral-attachments/"))


def attached_to(client: discord.Client, message: discord.Message) -> list[AttachedImage]:
    """The images of a message. Only the bot's own galleries are read, because Discord does not say their sizes."""
    attached = [
        AttachedImage(attachment.filename, attachment.url, attachment.size)
        for attachment in message.attachments
        if (attachment.content_type or "").partition(";")[0] in IMAGE_TYPES
    ]
    if client.user is not None and message.author.id == client.user.id:
        attached += [
            AttachedImage(say("picture {number}", number=number), media.url, None)
            for number, media in enumerate(media_of(message), start=1)
        ]
    return attached


def media_of(message: discord.Message) -> list[discord.UnfurledMediaItem]:
    """The uploaded files in a message's galleries; the `attachments` of such a message name none of them."""
    return [media for media in gallery_media(message) if media.attachment_id is not None]


def gallery_media(message: discord.Message) -> list[discord.UnfurledMediaItem]:
    """Everything in a message's galleries and thumbnails, including files attached to another message."""
    return [media for component in message.components for media in _media(component)]


def _media(component: discord.Component) -> Iterator[discord.UnfurledMediaItem]:
    if isinstance(component, discord.MediaGalleryComponent):
        yield from (item.media for item in component.items)
    elif isinstance(component, discord.SectionComponent):
        if isinstance(component.accessory, discord.ThumbnailComponent):
            yield component.accessory.media
    elif isinstance(component, discord.Container):
        for child in component.children:
            yield from _media(child)
