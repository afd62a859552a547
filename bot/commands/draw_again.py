"""The menu of a message, *Anima: draw again*: a picture of ours, or one that says in its file how it was made."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import discord
from discord import app_commands

from bot.components.base import AnimaInteraction, reply_privately
from bot.components.images import NOT_REMEMBERED
from bot.generation.errors import UnusableImage
from bot.generation.from_metadata import Replay
from bot.generation.options import Options
from bot.generation.spec import JobSpec
from bot.messages.attachments import AttachedPicture, attached_to, fetch
from bot.text.markdown import inline
from bot.text.translation import say
from inference.metadata import Parameters, UnreadableImage, read
from storage.jobs import LIVE, Job

MAX_READ = 4
"""Pictures of one message that are looked into, until one says how it was made."""
MAX_NAMED = 10

NO_PICTURE = "There is no picture attached to that message."
UNREADABLE = "That file is no picture that I can read."
TELLS_NOTHING = (
    "Nothing in the file says how it was made, so I cannot draw it again. Many sites and chats strip that when a "
    "picture is uploaded."
)
STILL_BEING_DRAWN = "That one is still on its way. Draw it again when it is there."
WITHOUT_LORAS = "Drawn without these LoRAs, which are not here: {names}"
UNKNOWN_SETTINGS = "Not known here, so your own or the server's are taken: {settings}"
FROM_PICTURE = "It was made from another picture, which the file does not hold, so it will look different."


@app_commands.context_menu(name="Anima: draw again")
async def draw_again(interaction: AnimaInteraction, message: discord.Message) -> None:
    job = await interaction.client.database.jobs.by_message(message.id)
    if job is not None and (job.parameters or job.private):
        await _same_again(interaction, job)
    else:
        await _from_file(interaction, message)


async def _same_again(interaction: AnimaInteraction, job: Job) -> None:
    if not job.parameters or (job.private and job.user_id != interaction.user.id):
        await reply_privately(interaction, say(NOT_REMEMBERED))
    elif job.state in LIVE:
        await reply_privately(interaction, say(STILL_BEING_DRAWN))
    else:
        acknowledgement = await interaction.response.defer(thinking=True, ephemeral=job.private)
        await interaction.client.intake.same_again(interaction, acknowledgement, job, JobSpec.of(job))


async def _from_file(interaction: AnimaInteraction, message: discord.Message) -> None:
    intake = interaction.client.intake
    privately = await intake.answers_privately(interaction, Options())
    acknowledgement = await interaction.response.defer(thinking=True, ephemeral=privately)
    try:
        found = await _parameters(interaction.client, message)
        replay = Replay.of(found, await interaction.client.model())
    except UnusableImage as unusable:
        await reply_privately(interaction, str(unusable))
        return
    said = replace(replay.said, private=privately)
    await intake.draw_again(interaction, acknowledgement, replay.prompt, said, "\n".join(_different(replay)))


async def _parameters(client: discord.Client, message: discord.Message) -> Parameters:
    """Of the first picture that says how it was made. Raises Unusable: why the first one does not."""
    pictures = attached_to(client, message)[:MAX_READ]
    if not pictures:
        raise UnusableImage(say(NO_PICTURE))
    why_not: list[UnusableImage] = []
    for picture in pictures:
        try:
            return await _parameters_of(client, picture)
        except UnusableImage as unusable:
            why_not.append(unusable)
    raise why_not[0]


async def _parameters_of(client: discord.Client, picture: AttachedPicture) -> Parameters:
    data = await fetch(client, picture.url, picture.size)
    try:
        found = await asyncio.to_thread(read, data)
    except UnreadableImage as error:
        raise UnusableImage(say(UNREADABLE)) from error
    if found is None:
        raise UnusableImage(say(TELLS_NOTHING))
    return found


def _different(replay: Replay) -> list[str]:
    """In what the picture will not be as the file has it."""
    sentences = []
    if replay.without:
        sentences.append(say(WITHOUT_LORAS, names=_listed(replay.without)))
    if replay.unknown:
        settings = [f"{name} {value}" for name, value in replay.unknown]
        sentences.append(say(UNKNOWN_SETTINGS, settings=_listed(settings)))
    if replay.from_picture:
        sentences.append(say(FROM_PICTURE))
    return sentences


def _listed(names: Sequence[str]) -> str:
    return ", ".join(inline(name, 60) for name in names[:MAX_NAMED])
