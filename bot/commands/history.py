"""`/anima history`: your pictures, page by page; show one, draw it again, delete it.

Users only ever see and change their own images, whatever a custom_id says.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Any, Literal, Self

import aiohttp
import discord
from discord import app_commands, ui
from yarl import URL

from bot.client import AnimaClient
from bot.commands.tree import OPEN_TO_BLOCKED
from bot.components.base import ABSTRACT, AnimaInteraction, Component, defer_privately, defer_update, image_of
from bot.components.deletion import delete_images
from bot.components.requests import reroll
from bot.generation.spec import JobSpec
from bot.jobs.acknowledgement.origin import Origin
from bot.messages.attachments import asked_again, media_of
from bot.messages.details import describe_job, message_url, summary
from bot.messages.job import SPOILER
from bot.messages.layout import StaticLayout
from bot.messages.limits import MAX_CHOICE_LENGTH
from bot.messages.replies import reply_privately
from bot.prompting import expand, without_prefix
from bot.text.discord_clock import time_mention
from bot.text.markdown import NO_PROMPT, blockquote, inline, truncate
from bot.text.translation import N_, say, say_plural
from storage.images import Image, ImagePage
from storage.jobs import Job

logger = logging.getLogger(__name__)

IMAGES_PER_PAGE = 5
#: They have to fit into the custom_id of a button, beside the cursor.
MAX_WORDS_LENGTH = 50
MAX_PROMPT_IN_LIST = 200
MAX_PROMPT_SHOWN = 1200

DELETED = N_("Deleted.")
DELETED_HERE = N_("Removed from your history. I can't delete its message, so please delete it yourself.")
DELETE_TOGETHER = N_(
    "Delete this picture and the other one posted with it from your history and from {channel}?",
    "Delete this picture and the {others} others posted with it from your history and from {channel}?",
)
NOT_THERE = N_("That picture is no longer in your history.")
PROMPT_DELETED = N_("That picture's prompt and settings are no longer saved, so I can't draw it again.")

Towards = Literal["older", "newer"]


@app_commands.command(description="Your pictures: see them, draw them again or delete them", extras=OPEN_TO_BLOCKED)
@app_commands.describe(words="Only pictures whose prompt has all of these words")
async def history(interaction: AnimaInteraction, words: app_commands.Range[str, 1, MAX_WORDS_LENGTH] = "") -> None:
    await defer_privately(interaction)
    page = await interaction.client.database.images.history(interaction.user.id, words=words, limit=IMAGES_PER_PAGE)
    await interaction.edit_original_response(view=await _list(interaction, page, words))


class TurnHistoryPage(
    Component, template=r"(?s)anima:history:(?P<towards>older|newer):(?P<image>[0-9]{1,18}):(?P<words>.*)"
):
    """Turns to the images older or newer than one."""

    open_to_blocked = True

    def __init__(self, item: ui.Item[Any], towards: str, image_id: int, words: str) -> None:
        super().__init__(item)
        self.cursor = {"before": image_id} if towards == "older" else {"after": image_id}
        self.words = words

    @property
    def log_name(self) -> str:
        return self.custom_id.removesuffix(self.words)

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: re.Match[str], /) -> Self:
        return cls(item, match["towards"], int(match["image"]), match["words"])

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await defer_update(interaction)
        page = await interaction.client.database.images.history(
            interaction.user.id, words=self.words, limit=IMAGES_PER_PAGE, **self.cursor
        )
        await interaction.edit_original_response(view=await _list(interaction, page, self.words))


class ShowImage(Component, template=r"anima:history:show"):
    """Shows one image of the page, in a message of its own."""

    open_to_blocked = True

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await defer_privately(interaction)
        chosen = self.item.values[0]
        await _show(interaction, int(chosen) if re.fullmatch(r"[0-9]{1,18}", chosen) else 0)


class HistoryComponent(Component, template=ABSTRACT):
    """A component for one image in the history of the user who presses it."""

    def __init__(self, item: ui.Item[Any], image_id: int) -> None:
        super().__init__(item)
        self.image_id = image_id


class DrawAgain(HistoryComponent, template=r"anima:history:again:([0-9]{1,18})(?::([0-9]{1,18}))?"):
    """Draws the same again, with new seeds: for everyone in the channel to see, unless it was private.

    The custom_id also names the image's job, whose privacy is known from memory. Without it the answer is private, as
    for pictures from private conversations and in messages of earlier releases.
    """

    def __init__(self, item: ui.Item[Any], image_id: int, job_id: int | None = None) -> None:
        super().__init__(item, image_id)
        self.job_id = job_id

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: re.Match[str], /) -> Self:
        return cls(item, int(match[1]), int(match[2]) if match[2] else None)

    async def on_use(self, interaction: AnimaInteraction) -> None:
        submitter = interaction.client.submitter
        private = self.job_id is None or submitter.is_private(self.job_id)
        origin = await Origin.acknowledge(interaction, ephemeral=private)
        stored = await _own_image(interaction, self.image_id)
        job = await interaction.client.database.jobs.get(stored.job_id) if stored is not None else None
        if job is None or (job.private and not origin.private):  # or a forged custom_id
            await reply_privately(interaction, say(NOT_THERE))
            return
        image = image_of(interaction, job)
        if image is None:
            await reply_privately(interaction, say(PROMPT_DELETED))
            return
        await interaction.client.submitter.submit(origin, reroll(image))


class AskToDelete(HistoryComponent, template=r"anima:history:delete:([0-9]{1,18})"):
    """Asks whether to delete an image."""

    open_to_blocked = True

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await defer_update(interaction)
        image = await _own_image(interaction, self.image_id)
        if image is None:
            await interaction.edit_original_response(view=StaticLayout(ui.TextDisplay(say(NOT_THERE))))
            return
        together = await interaction.client.database.images.of_job(image.job_id)
        answers: ui.ActionRow[Any] = ui.ActionRow(
            _button("delete-for-good", image.id, say("Delete"), style=discord.ButtonStyle.danger),
            _button("keep", image.id, say("Keep")),
        )
        question = ui.TextDisplay[Any](_question(image, len(together)))
        await interaction.edit_original_response(view=StaticLayout(question, answers))


class ConfirmDelete(HistoryComponent, template=r"anima:history:delete-for-good:([0-9]{1,18})"):
    """Deletes an image's message, and with it all of its images."""

    open_to_blocked = True

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await defer_update(interaction)
        image = await _own_image(interaction, self.image_id)
        outcome = say(NOT_THERE) if image is None else await _delete(interaction.client, image)
        await interaction.edit_original_response(view=StaticLayout(ui.TextDisplay(outcome)))


class Keep(HistoryComponent, template=r"anima:history:keep:([0-9]{1,18})"):
    """Cancels the deletion and shows the image again."""

    open_to_blocked = True

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await defer_update(interaction)
        await _show(interaction, self.image_id)


def _button(
    action: str,
    image: int | str,
    label: str,
    *,
    emoji: str | None = None,
    style: discord.ButtonStyle = discord.ButtonStyle.secondary,
) -> ui.Button[Any]:
    return ui.Button(label=label, emoji=emoji, style=style, custom_id=f"anima:history:{action}:{image}")


def page_button(towards: Towards, image_id: int | None, words: str) -> ui.Button[Any]:
    """`image_id`: the image from which the page begins; None where there is none."""
    label, emoji = (say("Older"), "▶️") if towards == "older" else (say("Newer"), "◀️")
    custom_id = f"anima:history:{towards}:{image_id or 0}:{words}"
    return ui.Button(label=label, emoji=emoji, custom_id=custom_id, disabled=image_id is None)


async def _list(interaction: AnimaInteraction, page: ImagePage, words: str) -> StaticLayout:
    view = StaticLayout(ui.TextDisplay(_title(page, words)))
    entries = await asyncio.gather(*(HistoryEntry.of(interaction.client, image) for image in page.images))
    addresses = await _addresses(interaction, entries)
    for entry in entries:
        text = ui.TextDisplay[Any](await _in_list(entry, interaction))
        address = addresses.get(entry.image.id)
        thumbnail = None if address is None else ui.Thumbnail[Any](address, spoiler=entry.image.spoiler)
        view.add_item(text if thumbnail is None else ui.Section(text, accessory=thumbnail))
    if entries:
        view.add_item(ui.ActionRow(_select(entries)))
        newer, older = page_button("newer", page.newer, words), page_button("older", page.older, words)
        view.add_item(ui.ActionRow(newer, older))
    return view


def _select(entries: Sequence[HistoryEntry]) -> ui.Select[Any]:
    options = [
        discord.SelectOption(
            label=truncate(" ".join(each.prompt.split()), MAX_CHOICE_LENGTH) or say(NO_PROMPT),
            value=str(each.image.id),
            description=f"{_seed(each.image)}, {each.image.created_at:%Y-%m-%d}",
        )
        for each in entries
    ]
    return ui.Select(placeholder=say("Show a picture…"), options=options, custom_id="anima:history:show")


def _title(page: ImagePage, words: str) -> str:
    sought = inline(words, MAX_WORDS_LENGTH)
    if page.images:
        title = say("Your pictures with “{words}”", words=sought) if words else say("Your pictures")
        return f"### {title}"
    if words:
        return say("None of your pictures has all these words in its prompt: {words}", words=sought)
    return say("You have no pictures yet. `/anima imagine` draws one.")


@dataclass(frozen=True)
class HistoryEntry:
    """An image with its job, if that is still there, and the address of the image that it was made from."""

    image: Image
    job: Job | None
    source_url: str | None

    @classmethod
    async def of(cls, client: AnimaClient, image: Image) -> Self:
        job = await client.database.jobs.get(image.job_id)
        parent_id = None if job is None else job.parent_picture_id
        source = None if parent_id is None else await client.database.images.get(parent_id)
        return cls(image, job, message_url(client, source))

    @property
    def can_be_fetched(self) -> bool:
        """Whether the bot may see its message: where it is no member, and in private answers, it never can."""
        if self.job is None:
            return not self.image.private
        return self.job.is_private_message or not (self.image.private or JobSpec.is_by_token_only(self.job))

    @property
    def prompt(self) -> str:
        """The image's prompt without the prefix that every prompt gets."""
        if self.job is None:
            return self.image.prompt
        return without_prefix(self.image.prompt, expand(self.job.prompt, self.image.seed))

    @property
    def kind(self) -> str | None:
        """What its job is, except for a plain `/anima imagine`."""
        if self.job is None or self.job.kind == "imagine":
            return None
        return describe_job(self.job, self.source_url)


async def _in_list(entry: HistoryEntry, interaction: AnimaInteraction) -> str:
    image = entry.image
    notes = [time_mention(image.created_at, "R"), _seed(image)]
    if entry.kind is not None:
        notes.insert(0, entry.kind)
    if (link := message_url(interaction.client, image)) is not None:
        notes.append(f"[{say('message')}]({link})")
    if image.private:
        notes.append(say("only visible to you"))
    elif not await _fits_here(interaction, image):
        notes.append(say("from an age-restricted channel"))
    return f"{inline(entry.prompt, MAX_PROMPT_IN_LIST)}\n-# {' · '.join(notes)}"


async def _show(interaction: AnimaInteraction, image_id: int) -> None:
    image = await _own_image(interaction, image_id)
    if image is None:
        await interaction.edit_original_response(view=StaticLayout(ui.TextDisplay(say(NOT_THERE))))
        return
    entry = await HistoryEntry.of(interaction.client, image)
    view = StaticLayout(ui.TextDisplay(f"{blockquote(entry.prompt, MAX_PROMPT_SHOWN)}\n-# {_settings(entry)}"))
    address = (await _addresses(interaction, [entry])).get(image.id)
    if address is not None:
        view.add_item(ui.MediaGallery(discord.MediaGalleryItem(address, spoiler=image.spoiler)))
    else:
        view.add_item(ui.TextDisplay(await _why_not_seen(interaction, image)))
    buttons: ui.ActionRow[Any] = ui.ActionRow(
        _button("again", _drawn_again(interaction, image), say("Draw again"), emoji="🎲"),
        _button("delete", image.id, say("Delete…"), emoji="🗑️"),
    )
    if (link := message_url(interaction.client, image)) is not None:
        buttons.add_item(ui.Button(label=say("Go to message"), url=link))
    await interaction.edit_original_response(view=view.add_item(buttons))


def _drawn_again(interaction: AnimaInteraction, image: Image) -> str:
    """For the button's custom_id. Without the job the answer is private.

    A picture from a private conversation is also answered privately anywhere else: nobody else there has seen it.
    """
    was_alone = image.guild_id is None and image.channel_id != interaction.channel_id
    is_alone = interaction.context.dm_channel
    return f"{image.id}" if was_alone and not is_alone else f"{image.id}:{image.job_id}"


def _settings(entry: HistoryEntry) -> str:
    image, job = entry.image, entry.job
    settings = summary(JobSpec.of(job)) if job is not None and job.parameters else f"{image.width}x{image.height}"
    parts = [entry.kind, time_mention(image.created_at), settings, _seed(image)]
    return " · ".join(part for part in parts if part is not None)


def _seed(image: Image) -> str:
    return say("seed {seed}", seed=image.seed)


async def _why_not_seen(interaction: AnimaInteraction, image: Image) -> str:
    if image.private:
        return say("Only you could see this picture, and Discord can't show such messages again.")
    if not await _fits_here(interaction, image):
        return say("This picture is from an age-restricted channel. View it there.")
    return say("Its message was deleted, or I can no longer see the channel.")


def _question(image: Image, together: int) -> str:
    channel = f"<#{image.channel_id}>"
    if together == 1:
        question = say("Delete this picture from your history and from {channel}?", channel=channel)
    else:
        others = together - 1
        question = say_plural(*DELETE_TOGETHER, others, others=others, channel=channel)
    return f"{blockquote(image.prompt, MAX_PROMPT_IN_LIST)}\n{question}"


async def _delete(client: AnimaClient, image: Image) -> str:
    if image.message_id is None:
        await client.database.images.delete([image.id])
        return say(DELETED)
    gone = await delete_images(client, image.job_id, image.channel_id, image.message_id, private=image.private)
    return say(DELETED) if gone else say(DELETED_HERE)


async def _own_image(interaction: AnimaInteraction, image_id: int) -> Image | None:
    image = await interaction.client.database.images.get(image_id)
    if image is None or image.user_id != interaction.user.id or image.deleted_at is not None:
        return None
    return image


async def _addresses(interaction: AnimaInteraction, entries: Sequence[HistoryEntry]) -> dict[int, str]:
    """Where to find pictures, by their ids. Addresses expire within a day, so the messages are asked each time."""
    seen = [
        (image, image.message_id)
        for image in (entry.image for entry in entries if entry.can_be_fetched)
        if image.message_id is not None and await _fits_here(interaction, image)
    ]
    places = list({(image.channel_id, message_id) for image, message_id in seen})
    files = dict(zip(places, await asyncio.gather(*(_files(interaction.client, *at) for at in places)), strict=True))
    found = {image.id: files[image.channel_id, at].get(_stem(image.file_name)) for image, at in seen}
    return {image_id: address for image_id, address in found.items() if address is not None}


async def _files(client: discord.Client, channel_id: int, message_id: int) -> dict[str, str]:
    """The addresses of a message's files by their names without endings; none if it cannot be read."""
    try:
        message = await asked_again(partial(client.get_partial_messageable(channel_id).fetch_message, message_id))
    except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
        logger.info("message %d could not be fetched (%s)", message_id, error)
        return {}
    attached = [attachment.url for attachment in message.attachments]
    return {_stem(URL(url).name): url for url in [*attached, *(media.url for media in media_of(message))]}


def _stem(file_name: str) -> str:
    return PurePosixPath(file_name).stem.removeprefix(SPOILER)


async def _fits_here(interaction: AnimaInteraction, image: Image) -> bool:
    """What was made in an age-restricted channel, or in one that cannot be known, is seen in such channels only."""
    if image.guild_id is None or (image.channel_id == interaction.channel_id and interaction.is_guild_integration()):
        return True
    servers = interaction.client.server_lookup
    if interaction.channel_id is not None and (await servers.place_of(interaction)).age_restricted:
        return True
    return await servers.is_age_restricted(image.guild_id, image.channel_id) is False


HANDLERS = (TurnHistoryPage, ShowImage, DrawAgain, AskToDelete, ConfirmDelete, Keep)
