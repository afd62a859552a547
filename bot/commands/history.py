"""`/anima history`: your pictures, page by page; look at one again, draw it again, delete it.

Everything is answered to the one who asks, about their own pictures, whatever a custom_id says.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, Self

import discord
from discord import app_commands, ui
from yarl import URL

from bot.interactions import Layout
from bot.jobs import Drawing
from bot.picture_info import about
from bot.quoting import WORDLESS, cut, in_a_line, quoted
from storage.jobs import Job
from storage.pictures import Page, Picture

if TYPE_CHECKING:
    from bot.client import AnimaClient

logger = logging.getLogger(__name__)

PICTURES_A_PAGE = 5
LONGEST_WORDS = 50
"""They have to fit into the custom_id of a button, beside the cursor."""
PROMPT_IN_LIST = 200
PROMPT_SHOWN = 1200

NOT_THERE = "That picture is not in your history any more."
WORDS_FORGOTTEN = "The prompt and settings of that picture are not kept any more, so it cannot be drawn again."

Towards = Literal["older", "newer"]


@app_commands.command(description="Your pictures: see them, draw them again, delete them")
@app_commands.describe(words="Only pictures whose prompt has all of these words")
async def history(
    interaction: discord.Interaction[AnimaClient], words: app_commands.Range[str, 1, LONGEST_WORDS] = ""
) -> None:
    await interaction.response.defer(ephemeral=True)
    page = await interaction.client.database.pictures.history(interaction.user.id, words=words, limit=PICTURES_A_PAGE)
    await interaction.edit_original_response(view=await _list(interaction, page, words))


class PageButton(
    ui.DynamicItem[ui.Button[Any]],
    template=r"(?s)anima:history:(?P<towards>older|newer):(?P<picture>[0-9]{1,18}):(?P<words>.*)",
):
    """Turns to the pictures older or newer than one."""

    def __init__(self, towards: Towards, picture_id: int, words: str, *, disabled: bool = False) -> None:
        label, emoji = ("Older", "▶️") if towards == "older" else ("Newer", "◀️")
        custom_id = f"anima:history:{towards}:{picture_id}:{words}"
        super().__init__(ui.Button(label=label, emoji=emoji, custom_id=custom_id, disabled=disabled))
        self.cursor = {"before": picture_id} if towards == "older" else {"after": picture_id}
        self.words = words

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: re.Match[str], /) -> Self:
        towards: Towards = "older" if match["towards"] == "older" else "newer"
        return cls(towards, int(match["picture"]), match["words"])

    async def callback(self, interaction: discord.Interaction[AnimaClient]) -> None:  # type: ignore[override]
        await interaction.response.defer()
        page = await interaction.client.database.pictures.history(
            interaction.user.id, words=self.words, limit=PICTURES_A_PAGE, **self.cursor
        )
        await interaction.edit_original_response(view=await _list(interaction, page, self.words))


class PictureSelect(ui.DynamicItem[ui.Select[Any]], template=r"anima:history:show"):
    """Shows one picture of the page, in a message of its own."""

    @classmethod
    def of(cls, pictures: Sequence[Picture]) -> Self:
        options = [
            discord.SelectOption(
                label=cut(" ".join(picture.prompt.split()), 100) or WORDLESS,
                value=str(picture.id),
                description=f"seed {picture.seed}, {picture.created_at:%d %B %Y}",
            )
            for picture in pictures
        ]
        return cls(ui.Select(placeholder="Show one…", options=options, custom_id="anima:history:show"))

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: re.Match[str], /) -> Self:
        return cls(item)

    async def callback(self, interaction: discord.Interaction[AnimaClient]) -> None:  # type: ignore[override]
        await interaction.response.defer(ephemeral=True, thinking=True)
        chosen = self.item.values[0]
        await _show(interaction, int(chosen) if re.fullmatch(r"[0-9]{1,18}", chosen) else 0)


class AgainButton(ui.DynamicItem[ui.Button[Any]], template=r"anima:history:again:(?P<picture>[0-9]{1,18})"):
    """Draws the same once more, with new seeds, for everyone in the channel to see."""

    def __init__(self, picture_id: int) -> None:
        super().__init__(ui.Button(label="Draw again", emoji="🎲", custom_id=f"anima:history:again:{picture_id}"))
        self.picture_id = picture_id

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: re.Match[str], /) -> Self:
        return cls(int(match["picture"]))

    async def callback(self, interaction: discord.Interaction[AnimaClient]) -> None:  # type: ignore[override]
        acknowledgement = await interaction.response.defer(thinking=True)
        picture = await _own_picture(interaction, self.picture_id)
        job = await interaction.client.database.jobs.get(picture.job_id) if picture is not None else None
        if job is None:
            await interaction.edit_original_response(content=NOT_THERE)
        elif not job.parameters:
            await interaction.edit_original_response(content=WORDS_FORGOTTEN)
        else:
            await interaction.client.intake.reroll(interaction, acknowledgement, job, Drawing.of(job))


class DeleteButton(ui.DynamicItem[ui.Button[Any]], template=r"anima:history:delete:(?P<picture>[0-9]{1,18})"):
    """Asks whether to delete a picture."""

    def __init__(self, picture_id: int) -> None:
        super().__init__(ui.Button(label="Delete…", emoji="🗑️", custom_id=f"anima:history:delete:{picture_id}"))
        self.picture_id = picture_id

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: re.Match[str], /) -> Self:
        return cls(int(match["picture"]))

    async def callback(self, interaction: discord.Interaction[AnimaClient]) -> None:  # type: ignore[override]
        await interaction.response.defer()
        picture = await _own_picture(interaction, self.picture_id)
        if picture is None:
            await interaction.edit_original_response(view=Layout(ui.TextDisplay(NOT_THERE)))
            return
        together = await interaction.client.database.pictures.of_job(picture.job_id)
        answers: ui.ActionRow[Any] = ui.ActionRow(DeleteForGoodButton(picture.id), KeepButton(picture.id))
        question = ui.TextDisplay[Any](_question(picture, len(together)))
        await interaction.edit_original_response(view=Layout(question, answers))


class DeleteForGoodButton(
    ui.DynamicItem[ui.Button[Any]], template=r"anima:history:delete-for-good:(?P<picture>[0-9]{1,18})"
):
    """Deletes a picture's message, and with it all of its pictures."""

    def __init__(self, picture_id: int) -> None:
        custom_id = f"anima:history:delete-for-good:{picture_id}"
        super().__init__(ui.Button(label="Delete", style=discord.ButtonStyle.danger, custom_id=custom_id))
        self.picture_id = picture_id

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: re.Match[str], /) -> Self:
        return cls(int(match["picture"]))

    async def callback(self, interaction: discord.Interaction[AnimaClient]) -> None:  # type: ignore[override]
        await interaction.response.defer()
        picture = await _own_picture(interaction, self.picture_id)
        said = NOT_THERE if picture is None else await _delete(interaction.client, picture)
        await interaction.edit_original_response(view=Layout(ui.TextDisplay(said)))


class KeepButton(ui.DynamicItem[ui.Button[Any]], template=r"anima:history:keep:(?P<picture>[0-9]{1,18})"):
    """Goes back to the picture that is not to be deleted after all."""

    def __init__(self, picture_id: int) -> None:
        super().__init__(ui.Button(label="Keep", custom_id=f"anima:history:keep:{picture_id}"))
        self.picture_id = picture_id

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: re.Match[str], /) -> Self:
        return cls(int(match["picture"]))

    async def callback(self, interaction: discord.Interaction[AnimaClient]) -> None:  # type: ignore[override]
        await interaction.response.defer()
        await _show(interaction, self.picture_id)


async def delete_message(client: discord.Client, channel_id: int, message_id: int) -> bool:
    """Delete one of the bot's messages. True: it is gone, by this or already; False: the bot cannot reach it."""
    try:
        await client.get_partial_messageable(channel_id).get_partial_message(message_id).delete()
    except discord.NotFound:
        return True
    except discord.HTTPException as error:
        logger.info("message %d could not be deleted (%s)", message_id, error)
        return False
    return True


def media_of(message: discord.Message) -> list[discord.UnfurledMediaItem]:
    """The uploaded files in a message's galleries; the `attachments` of such a message name none of them."""
    return [media for component in message.components for media in _media(component) if media.attachment_id is not None]


def _media(component: discord.Component) -> Iterator[discord.UnfurledMediaItem]:
    if isinstance(component, discord.MediaGalleryComponent):
        yield from (item.media for item in component.items)
    elif isinstance(component, discord.Container):
        for child in component.children:
            yield from _media(child)


async def _list(interaction: discord.Interaction[AnimaClient], page: Page, words: str) -> Layout:
    view = Layout(ui.TextDisplay(_title(page, words)))
    addresses = await _addresses(interaction, page.pictures)
    for picture in page.pictures:
        text = ui.TextDisplay[Any](_in_list(picture, interaction))
        address = addresses.get(picture.id)
        view.add_item(
            ui.Section(text, accessory=ui.Thumbnail(address, spoiler=picture.spoiler)) if address is not None else text
        )
    if page.pictures:
        view.add_item(ui.ActionRow(PictureSelect.of(page.pictures)))
        newer = PageButton("newer", page.newer or 0, words, disabled=page.newer is None)
        older = PageButton("older", page.older or 0, words, disabled=page.older is None)
        view.add_item(ui.ActionRow(newer, older))
    return view


def _title(page: Page, words: str) -> str:
    if page.pictures:
        return f"### Your pictures with {in_a_line(words, LONGEST_WORDS)}" if words else "### Your pictures"
    if words:
        return f"None of your pictures has all of these words in its prompt: {in_a_line(words, LONGEST_WORDS)}"
    return "There are no pictures of yours here. `/anima imagine` draws one."


def _in_list(picture: Picture, interaction: discord.Interaction[AnimaClient]) -> str:
    about = [discord.utils.format_dt(picture.created_at, "R"), f"seed {picture.seed}"]
    if (link := _link(interaction.client, picture)) is not None:
        about.append(f"[message]({link})")
    if picture.private:
        about.append("shown to you alone")
    elif not _fits_here(interaction, picture):
        about.append("from an age-restricted channel")
    return f"{in_a_line(picture.prompt, PROMPT_IN_LIST)}\n-# {' · '.join(about)}"


async def _show(interaction: discord.Interaction[AnimaClient], picture_id: int) -> None:
    picture = await _own_picture(interaction, picture_id)
    if picture is None:
        await interaction.edit_original_response(view=Layout(ui.TextDisplay(NOT_THERE)))
        return
    job = await interaction.client.database.jobs.get(picture.job_id)
    view = Layout(ui.TextDisplay(f"{quoted(picture.prompt, PROMPT_SHOWN)}\n-# {_settings(picture, job)}"))
    address = (await _addresses(interaction, [picture])).get(picture.id)
    if address is not None:
        view.add_item(ui.MediaGallery(discord.MediaGalleryItem(address, spoiler=picture.spoiler)))
    else:
        view.add_item(ui.TextDisplay(_why_not_seen(interaction, picture)))
    buttons: ui.ActionRow[Any] = ui.ActionRow(AgainButton(picture.id), DeleteButton(picture.id))
    if (link := _link(interaction.client, picture)) is not None:
        buttons.add_item(ui.Button(label="Go to message", url=link))
    await interaction.edit_original_response(view=view.add_item(buttons))


def _settings(picture: Picture, job: Job | None) -> str:
    settings = [discord.utils.format_dt(picture.created_at), f"{picture.width}x{picture.height}"]
    if job is not None and job.parameters:
        settings = [discord.utils.format_dt(picture.created_at), about(Drawing.of(job))]
    return " · ".join([*settings, f"seed {picture.seed}"])


def _why_not_seen(interaction: discord.Interaction[AnimaClient], picture: Picture) -> str:
    if picture.private:
        return "It was shown to you alone, and Discord does not show such messages twice."
    if not _fits_here(interaction, picture):
        return "It was made in an age-restricted channel; look at it there."
    return "Its message is gone, or in a place where I cannot look any more."


def _question(picture: Picture, together: int) -> str:
    pictures = "this picture" if together == 1 else f"this picture and the {together - 1} that came with it"
    return f"{quoted(picture.prompt, PROMPT_IN_LIST)}\nDelete {pictures}, here and from <#{picture.channel_id}>?"


async def _delete(client: AnimaClient, picture: Picture) -> str:
    """The message first: if that is as far as it gets, the picture is still there to be deleted."""
    if picture.message_id is None:
        await client.database.pictures.delete([picture.id])
        return "Deleted."
    gone = not picture.private and await delete_message(client, picture.channel_id, picture.message_id)
    await client.database.pictures.delete_message(picture.message_id)
    return "Deleted." if gone else "It is out of your history, but its message is out of my reach: delete it yourself."


async def _own_picture(interaction: discord.Interaction[AnimaClient], picture_id: int) -> Picture | None:
    picture = await interaction.client.database.pictures.get(picture_id)
    if picture is None or picture.user_id != interaction.user.id or picture.deleted_at is not None:
        return None
    return picture


async def _addresses(interaction: discord.Interaction[AnimaClient], pictures: Sequence[Picture]) -> dict[int, str]:
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


def _link(client: discord.Client, picture: Picture) -> str | None:
    if picture.message_id is None or picture.private:
        return None
    channel = client.get_partial_messageable(picture.channel_id, guild_id=picture.guild_id)
    return channel.get_partial_message(picture.message_id).jump_url


def _fits_here(interaction: discord.Interaction[AnimaClient], picture: Picture) -> bool:
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
