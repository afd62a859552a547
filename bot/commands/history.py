"""`/anima history`: your pictures, page by page; look at one again, draw it again, delete it.

Everything is answered to the one who asks, about their own pictures, whatever a custom_id says.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, Self

import discord
from discord import app_commands, ui
from yarl import URL

from bot.components.base import AnimaInteraction, Component, StaticLayout
from bot.components.deletion import delete_message
from bot.components.info import about
from bot.generation.spec import JobSpec
from bot.messages.attachments import media_of
from bot.text.markdown import WORDLESS, blockquote, inline, truncate
from bot.text.translation import say
from storage.images import Image, ImagePage
from storage.jobs import Job

if TYPE_CHECKING:
    from bot.client import AnimaClient

logger = logging.getLogger(__name__)

PICTURES_A_PAGE = 5
MAX_WORDS_LENGTH = 50
"""They have to fit into the custom_id of a button, beside the cursor."""
PROMPT_IN_LIST = 200
PROMPT_SHOWN = 1200

DELETED = "Deleted."
DELETED_HERE = "It is out of your history, but its message is out of my reach: delete it yourself."
DELETE_TOGETHER = "Delete this picture and the {others} that came with it, here and from {channel}?"
NOT_THERE = "That picture is not in your history any more."
WORDS_FORGOTTEN = "The prompt and settings of that picture are not kept any more, so it cannot be drawn again."

Towards = Literal["older", "newer"]


@app_commands.command(description="Your pictures: see them, draw them again, delete them")
@app_commands.describe(words="Only pictures whose prompt has all of these words")
async def history(interaction: AnimaInteraction, words: app_commands.Range[str, 1, MAX_WORDS_LENGTH] = "") -> None:
    await interaction.response.defer(ephemeral=True)
    page = await interaction.client.database.images.history(interaction.user.id, words=words, limit=PICTURES_A_PAGE)
    await interaction.edit_original_response(view=await _list(interaction, page, words))


class PageButton(
    Component, template=r"(?s)anima:history:(?P<towards>older|newer):(?P<picture>[0-9]{1,18}):(?P<words>.*)"
):
    """Turns to the pictures older or newer than one."""

    def __init__(self, towards: Towards, picture_id: int, words: str, *, disabled: bool = False) -> None:
        label, emoji = (say("Older"), "▶️") if towards == "older" else (say("Newer"), "◀️")
        custom_id = f"anima:history:{towards}:{picture_id}:{words}"
        super().__init__(ui.Button(label=label, emoji=emoji, custom_id=custom_id, disabled=disabled))
        self.cursor = {"before": picture_id} if towards == "older" else {"after": picture_id}
        self.words = words

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: re.Match[str], /) -> Self:
        towards: Towards = "older" if match["towards"] == "older" else "newer"
        return cls(towards, int(match["picture"]), match["words"])

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await interaction.response.defer()
        page = await interaction.client.database.images.history(
            interaction.user.id, words=self.words, limit=PICTURES_A_PAGE, **self.cursor
        )
        await interaction.edit_original_response(view=await _list(interaction, page, self.words))


class PictureSelect(Component, template=r"anima:history:show"):
    """Shows one picture of the page, in a message of its own."""

    @classmethod
    def of(cls, pictures: Sequence[Image]) -> Self:
        options = [
            discord.SelectOption(
                label=truncate(" ".join(picture.prompt.split()), 100) or say(WORDLESS),
                value=str(picture.id),
                description=f"{_seed(picture)}, {picture.created_at:%Y-%m-%d}",
            )
            for picture in pictures
        ]
        return cls(ui.Select(placeholder=say("Show one…"), options=options, custom_id="anima:history:show"))

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: re.Match[str], /) -> Self:
        return cls(item)

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        chosen = self.item.values[0]
        await _show(interaction, int(chosen) if re.fullmatch(r"[0-9]{1,18}", chosen) else 0)


class AgainButton(Component, template=r"anima:history:again:([0-9]{1,18})"):
    """Draws the same once more, with new seeds, for everyone in the channel to see."""

    def __init__(self, picture_id: int) -> None:
        super().__init__(ui.Button(label=say("Draw again"), emoji="🎲", custom_id=f"anima:history:again:{picture_id}"))
        self.picture_id = picture_id

    async def on_use(self, interaction: AnimaInteraction) -> None:
        acknowledgement = await interaction.response.defer(thinking=True)
        picture = await _own_picture(interaction, self.picture_id)
        job = await interaction.client.database.jobs.get(picture.job_id) if picture is not None else None
        if job is None:
            await interaction.edit_original_response(content=say(NOT_THERE))
        elif not job.parameters:
            await interaction.edit_original_response(content=say(WORDS_FORGOTTEN))
        else:
            await interaction.client.intake.reroll(interaction, acknowledgement, job, JobSpec.of(job))


class DeleteButton(Component, template=r"anima:history:delete:([0-9]{1,18})"):
    """Asks whether to delete a picture."""

    def __init__(self, picture_id: int) -> None:
        super().__init__(ui.Button(label=say("Delete…"), emoji="🗑️", custom_id=f"anima:history:delete:{picture_id}"))
        self.picture_id = picture_id

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await interaction.response.defer()
        picture = await _own_picture(interaction, self.picture_id)
        if picture is None:
            await interaction.edit_original_response(view=StaticLayout(ui.TextDisplay(say(NOT_THERE))))
            return
        together = await interaction.client.database.images.of_job(picture.job_id)
        answers: ui.ActionRow[Any] = ui.ActionRow(DeleteForGoodButton(picture.id), KeepButton(picture.id))
        question = ui.TextDisplay[Any](_question(picture, len(together)))
        await interaction.edit_original_response(view=StaticLayout(question, answers))


class DeleteForGoodButton(Component, template=r"anima:history:delete-for-good:([0-9]{1,18})"):
    """Deletes a picture's message, and with it all of its pictures."""

    def __init__(self, picture_id: int) -> None:
        custom_id = f"anima:history:delete-for-good:{picture_id}"
        super().__init__(ui.Button(label=say("Delete"), style=discord.ButtonStyle.danger, custom_id=custom_id))
        self.picture_id = picture_id

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await interaction.response.defer()
        picture = await _own_picture(interaction, self.picture_id)
        said = say(NOT_THERE) if picture is None else await _delete(interaction.client, picture)
        await interaction.edit_original_response(view=StaticLayout(ui.TextDisplay(said)))


class KeepButton(Component, template=r"anima:history:keep:([0-9]{1,18})"):
    """Goes back to the picture that is not to be deleted after all."""

    def __init__(self, picture_id: int) -> None:
        super().__init__(ui.Button(label=say("Keep"), custom_id=f"anima:history:keep:{picture_id}"))
        self.picture_id = picture_id

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await interaction.response.defer()
        await _show(interaction, self.picture_id)


async def _list(interaction: AnimaInteraction, page: ImagePage, words: str) -> StaticLayout:
    view = StaticLayout(ui.TextDisplay(_title(page, words)))
    addresses = await _addresses(interaction, page.images)
    for picture in page.images:
        text = ui.TextDisplay[Any](_in_list(picture, interaction))
        address = addresses.get(picture.id)
        view.add_item(
            ui.Section(text, accessory=ui.Thumbnail(address, spoiler=picture.spoiler)) if address is not None else text
        )
    if page.images:
        view.add_item(ui.ActionRow(PictureSelect.of(page.images)))
        newer = PageButton("newer", page.newer or 0, words, disabled=page.newer is None)
        older = PageButton("older", page.older or 0, words, disabled=page.older is None)
        view.add_item(ui.ActionRow(newer, older))
    return view


def _title(page: ImagePage, words: str) -> str:
    sought = inline(words, MAX_WORDS_LENGTH)
    if page.images:
        title = say("Your pictures with {words}", words=sought) if words else say("Your pictures")
        return f"### {title}"
    if words:
        return say("None of your pictures has all of these words in its prompt: {words}", words=sought)
    return say("There are no pictures of yours here. `/anima imagine` draws one.")


def _in_list(picture: Image, interaction: AnimaInteraction) -> str:
    about = [discord.utils.format_dt(picture.created_at, "R"), _seed(picture)]
    if (link := _link(interaction.client, picture)) is not None:
        about.append(f"[{say('message')}]({link})")
    if picture.private:
        about.append(say("shown to you alone"))
    elif not _fits_here(interaction, picture):
        about.append(say("from an age-restricted channel"))
    return f"{inline(picture.prompt, PROMPT_IN_LIST)}\n-# {' · '.join(about)}"


async def _show(interaction: AnimaInteraction, picture_id: int) -> None:
    picture = await _own_picture(interaction, picture_id)
    if picture is None:
        await interaction.edit_original_response(view=StaticLayout(ui.TextDisplay(say(NOT_THERE))))
        return
    job = await interaction.client.database.jobs.get(picture.job_id)
    view = StaticLayout(ui.TextDisplay(f"{blockquote(picture.prompt, PROMPT_SHOWN)}\n-# {_settings(picture, job)}"))
    address = (await _addresses(interaction, [picture])).get(picture.id)
    if address is not None:
        view.add_item(ui.MediaGallery(discord.MediaGalleryItem(address, spoiler=picture.spoiler)))
    else:
        view.add_item(ui.TextDisplay(_why_not_seen(interaction, picture)))
    buttons: ui.ActionRow[Any] = ui.ActionRow(AgainButton(picture.id), DeleteButton(picture.id))
    if (link := _link(interaction.client, picture)) is not None:
        buttons.add_item(ui.Button(label=say("Go to message"), url=link))
    await interaction.edit_original_response(view=view.add_item(buttons))


def _settings(picture: Image, job: Job | None) -> str:
    settings = [discord.utils.format_dt(picture.created_at), f"{picture.width}x{picture.height}"]
    if job is not None and job.parameters:
        settings = [discord.utils.format_dt(picture.created_at), about(JobSpec.of(job))]
    return " · ".join([*settings, _seed(picture)])


def _seed(picture: Image) -> str:
    return say("seed {seed}", seed=picture.seed)


def _why_not_seen(interaction: AnimaInteraction, picture: Image) -> str:
    if picture.private:
        return say("It was shown to you alone, and Discord does not show such messages twice.")
    if not _fits_here(interaction, picture):
        return say("It was made in an age-restricted channel; look at it there.")
    return say("Its message is gone, or in a place where I cannot look any more.")


def _question(picture: Image, together: int) -> str:
    channel = f"<#{picture.channel_id}>"
    if together == 1:
        question = say("Delete this picture, here and from {channel}?", channel=channel)
    else:
        question = say(DELETE_TOGETHER, others=together - 1, channel=channel)
    return f"{blockquote(picture.prompt, PROMPT_IN_LIST)}\n{question}"


async def _delete(client: AnimaClient, picture: Image) -> str:
    """The message first: if that is as far as it gets, the picture is still there to be deleted."""
    if picture.message_id is None:
        await client.database.images.delete([picture.id])
        return say(DELETED)
    gone = not picture.private and await delete_message(client, picture.channel_id, picture.message_id)
    await client.database.images.delete_message(picture.message_id)
    return say(DELETED) if gone else say(DELETED_HERE)


async def _own_picture(interaction: AnimaInteraction, picture_id: int) -> Image | None:
    picture = await interaction.client.database.images.get(picture_id)
    if picture is None or picture.user_id != interaction.user.id or picture.deleted_at is not None:
        return None
    return picture


async def _addresses(interaction: AnimaInteraction, pictures: Sequence[Image]) -> dict[int, str]:
    """Where to find pictures, by their ids. Addresses expire within a day, so the messages are asked each time."""
    seen = [
        (picture, picture.message_id)
        for picture in pictures
        if picture.message_id is not None and not picture.private and _fits_here(interaction, picture)
    ]
    places = list({(picture.channel_id, message_id) for picture, message_id in seen})
    files = dict(zip(places, await asyncio.gather(*(_files(interaction.client, *at) for at in places)), strict=True))
    found = {picture.id: files[picture.channel_id, at].get(_stem(picture.file_name)) for picture, at in seen}
    return {picture_id: address for picture_id, address in found.items() if address is not None}


async def _files(client: discord.Client, channel_id: int, message_id: int) -> dict[str, str]:
    """The addresses of a message's files by their names without endings; none if it cannot be read."""
    try:
        message = await client.get_partial_messageable(channel_id).fetch_message(message_id)
    except discord.HTTPException as error:
        logger.info("message %d could not be looked at (%s)", message_id, error)
        return {}
    attached = [attachment.url for attachment in message.attachments]
    return {_stem(URL(url).name): url for url in [*attached, *(media.url for media in media_of(message))]}


def _stem(file_name: str) -> str:
    return PurePosixPath(file_name).stem.removeprefix("SPOILER_")


def _link(client: discord.Client, picture: Image) -> str | None:
    if picture.message_id is None or picture.private:
        return None
    channel = client.get_partial_messageable(picture.channel_id, guild_id=picture.guild_id)
    return channel.get_partial_message(picture.message_id).jump_url


def _fits_here(interaction: AnimaInteraction, picture: Image) -> bool:
    """What was made in an age-restricted channel, or in one that cannot be known, is seen in such channels only."""
    if picture.guild_id is None or _is_age_restricted(interaction.channel):
        return True
    made_in = interaction.client.get_channel(picture.channel_id)
    return made_in is not None and not _is_age_restricted(made_in)


def _is_age_restricted(channel: object) -> bool:
    return isinstance(channel, discord.abc.GuildChannel | discord.Thread) and bool(
        getattr(channel, "is_nsfw", lambda: False)()
    )


COMPONENTS = (PageButton, PictureSelect, AgainButton, DeleteButton, DeleteForGoodButton, KeepButton)
