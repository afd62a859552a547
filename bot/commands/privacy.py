"""`/anima privacy`: what is stored about you, as a file, and how to erase it."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import re
from contextlib import suppress
from typing import Any, Self

import discord
from discord import app_commands, ui

from bot.client import AnimaClient
from bot.commands.tree import OPEN_TO_BLOCKED
from bot.components.base import AnimaInteraction, Component, defer_privately, defer_update
from bot.messages.layout import StaticLayout
from bot.messages.limits import MAX_FILE_SIZE, MAX_FILES
from bot.ops.retention import Retention
from bot.text.formats import duration
from bot.text.translation import N_, say, say_plural
from storage.privacy import Erased

STORED_DATA = N_(
    "### What I store about you\n"
    "Your prompts, settings and seeds; when and where you drew, and what it cost; your defaults and "
    "presets; for a day, what you typed into a form that was refused; the pictures you used as a source or "
    "upscaled; which pictures you reported, and which were shared in a server's gallery. Finished pictures are stored "
    "by Discord, in its messages."
)
KEPT_UNTIL_ERASED = N_("I store it until you erase it.")
PROMPTS_KEPT = N_("Prompts and settings are deleted after {days}.")
PICTURES_KEPT = N_("Pictures leave your history after {days}. Their messages stay in Discord.")
SEEN_BY_MODERATORS = N_(
    "If a server has a log channel, its moderators can see there what happened to your requests in that server: "
    "refused prompts with their words (private ones too), failed jobs, reports, deletions and blocks."
)
NOT_SHARED = N_("Only you can see this message. Otherwise your data is not shared with anyone.")

QUESTION = N_(
    "### Erase everything?\n"
    "Your history, defaults and presets are erased at once, and your queued jobs are cancelled. This can't be "
    "undone.\n"
    "Two things stay for a while, so that nobody can get around limits by erasing: a block, until it is lifted, "
    "and how many credits you used in the last 24 hours (not what you drew).\n"
    "Your pictures are removed from servers' galleries, but they are also in Discord's messages. I can delete the "
    "messages that I can still reach, too, about one per second."
)

DRAWN_FROM = N_("These are the pictures you used as a source. Each file is named after the first job that used it.")
COPY = N_("Here is everything I store about you, as JSON.")
MORE_SOURCES = N_(
    "Discord lets me send only a few messages here, so some of the pictures you used as a source are missing. Use "
    "`/anima privacy` in a server that I am in, or in a private message with me, to get all of them."
)
TOO_LARGE = N_("Your data is too large for one Discord upload. Please ask the bot's owner for it.")
KEPT = N_("Nothing was erased.")
#: Discord's code for one follow-up too many, where only the person installed the bot.
TOO_MANY_FOLLOWUPS = 40094


@app_commands.command(description="Get or erase everything I store about you", extras=OPEN_TO_BLOCKED)
async def privacy(interaction: AnimaInteraction) -> None:
    await defer_privately(interaction)
    buttons: ui.ActionRow[Any] = ui.ActionRow(
        _button("export", say("Send me a copy"), emoji="📄"), _button("erase", say("Erase everything…"), emoji="🗑️")
    )
    kept = [
        say(STORED_DATA),
        *_how_long(interaction.client.retention),
        f"-# {say(SEEN_BY_MODERATORS)} {say(NOT_SHARED)}",
    ]
    await interaction.edit_original_response(view=StaticLayout(ui.TextDisplay("\n".join(kept)), buttons))


class Export(Component, template=r"anima:privacy:export"):
    open_to_blocked = True

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await defer_privately(interaction)
        exported = await interaction.client.database.privacy.export(interaction.user.id)
        file = await asyncio.to_thread(_as_file, exported)
        if file is None:
            await interaction.edit_original_response(content=say(TOO_LARGE))
        else:
            await interaction.edit_original_response(content=say(COPY), attachments=[file])
        try:
            await _send_sources(interaction)
        except discord.HTTPException as error:
            if error.code != TOO_MANY_FOLLOWUPS:
                raise
            said = say(TOO_LARGE if file is None else COPY)
            await interaction.edit_original_response(content=f"{said}\n{say(MORE_SOURCES)}")


class Erase(Component, template=r"anima:privacy:erase"):
    """Asks whether to erase."""

    open_to_blocked = True

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await defer_update(interaction)
        danger = discord.ButtonStyle.danger
        answers: ui.ActionRow[Any] = ui.ActionRow(
            _button("erase:kept", say("Erase"), style=danger),
            _button("erase:messages-too", say("Erase and delete messages"), style=danger),
            _button("keep", say("Keep everything")),
        )
        await interaction.edit_original_response(view=StaticLayout(ui.TextDisplay(say(QUESTION)), answers))


class ConfirmErase(Component, template=r"anima:privacy:erase:(?P<what>kept|messages-too)"):
    open_to_blocked = True

    def __init__(self, item: ui.Item[Any], *, messages_too: bool) -> None:
        super().__init__(item)
        self.messages_too = messages_too

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: re.Match[str], /) -> Self:
        return cls(item, messages_too=match["what"] == "messages-too")

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await defer_update(interaction)
        erased = await _erase(interaction.client, interaction.user.id, messages_too=self.messages_too)
        await interaction.edit_original_response(view=StaticLayout(ui.TextDisplay(_summary(erased))))
        if self.messages_too and erased.messages:
            await _delete_messages(interaction, erased)


class KeepEverything(Component, template=r"anima:privacy:keep"):
    open_to_blocked = True

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await defer_update(interaction)
        await interaction.edit_original_response(view=StaticLayout(ui.TextDisplay(say(KEPT))))


def _button(
    action: str,
    label: str,
    *,
    emoji: str | None = None,
    style: discord.ButtonStyle = discord.ButtonStyle.secondary,
) -> ui.Button[Any]:
    return ui.Button(label=label, emoji=emoji, style=style, custom_id=f"anima:privacy:{action}")


def _how_long(retention: Retention) -> list[str]:
    prompts, pictures = retention.prompts_kept, retention.images_kept
    if prompts is None and pictures is None:
        return [say(KEPT_UNTIL_ERASED)]
    sentences = [] if prompts is None else [say(PROMPTS_KEPT, days=duration(prompts))]
    return sentences if pictures is None else [*sentences, say(PICTURES_KEPT, days=duration(pictures))]


async def _send_sources(interaction: AnimaInteraction) -> None:
    """What the person's pictures were drawn from, a message full at a time."""
    sources = interaction.client.database.source_images
    files: list[discord.File] = []
    room, left_out = MAX_FILE_SIZE, False
    drawn_from = [
        *(("drawn-from", job_id) for job_id in await sources.first_jobs(interaction.user.id)),
        *(("mask", job_id) for job_id in await sources.first_jobs_with_mask(interaction.user.id)),
    ]
    for name, job_id in drawn_from:
        content = await (sources.mask_of_job(job_id) if name == "mask" else sources.of_job(job_id))
        if content is None:
            continue  # erased in the meantime
        if len(content) > MAX_FILE_SIZE:
            left_out = True
            continue
        if len(content) > room or len(files) == MAX_FILES:
            await interaction.followup.send(say(DRAWN_FROM), files=files, ephemeral=True)
            files, room = [], MAX_FILE_SIZE
        files.append(discord.File(io.BytesIO(content), f"{name}-{job_id}.png"))
        room -= len(content)
    if files:
        await interaction.followup.send(say(DRAWN_FROM), files=files, ephemeral=True)
    if left_out:
        await interaction.followup.send(say(TOO_LARGE), ephemeral=True)


async def _erase(client: AnimaClient, user_id: int, *, messages_too: bool) -> Erased:
    erased = await client.database.privacy.erase(user_id, messages_too=messages_too)
    for job in erased.unfinished:
        await client.cancellation.withdraw(job)
    return erased


async def _delete_messages(interaction: AnimaInteraction, erased: Erased) -> None:
    """Waits until they are deleted; if the bot ends meanwhile, the others are deleted after the next start."""
    deleted = await interaction.client.gallery.removed_erased([message_id for _, message_id in erased.messages])
    gone = say("Messages deleted in Discord: {gone} of {messages}.", messages=len(erased.messages), gone=deleted)
    text = f"{_summary(erased)}\n{gone}"
    with suppress(discord.HTTPException):  # where that took longer than the interaction's 15 minutes
        await interaction.edit_original_response(view=StaticLayout(ui.TextDisplay(text)))


def _summary(erased: Erased) -> str:
    jobs = say_plural("{count} job", "{count} jobs", erased.jobs)
    pictures = say_plural("{count} picture", "{count} pictures", erased.images)
    return say("Erased: {jobs} with {pictures}, your defaults and your presets.", jobs=jobs, pictures=pictures)


def _as_file(exported: dict[str, Any]) -> discord.File | None:
    """The file to send, compressed where it has to be; None where that does not help either."""
    content = json.dumps(exported, ensure_ascii=False, indent=1).encode()
    if len(content) <= MAX_FILE_SIZE:
        return discord.File(io.BytesIO(content), "anima.json")
    compressed = gzip.compress(content)
    return discord.File(io.BytesIO(compressed), "anima.json.gz") if len(compressed) <= MAX_FILE_SIZE else None


HANDLERS = (Export, Erase, ConfirmErase, KeepEverything)
