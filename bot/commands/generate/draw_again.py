"""The message menu *Anima: draw again*: repeats one of our images, or one whose file says how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import discord
from discord import app_commands

from bot.components.base import AnimaInteraction, image_of
from bot.components.images import NO_LONGER_SAVED
from bot.components.requests import repeat
from bot.generation.errors import UnusableImage
from bot.generation.from_metadata import Replay
from bot.generation.options import Options
from bot.jobs.acknowledgement.origin import Origin
from bot.jobs.submission import JobRequest
from bot.messages.attachments import MAX_IMAGES_READ, NOTHING_ATTACHED, attached_to, read_parameters
from bot.messages.buttons import job_id_in
from bot.messages.replies import reply_privately
from bot.text.markdown import inline
from bot.text.translation import N_, listed, say
from inference.metadata import Parameters
from storage.jobs import LIVE, Job

MAX_NAMED = 10

STILL_BEING_DRAWN = N_("That picture isn't finished yet. Try again when it is.")
WITHOUT_LORAS = N_("Drawn without these LoRAs, which aren't available here: {names}")
UNKNOWN_SETTINGS = N_("These can't be used here, so your own or the server's settings are used instead: {settings}")
OTHER_MODEL = N_("It was made with the model “{name}”, which isn't available here, so it will look different.")
FROM_PICTURE = N_("It was made from another picture that isn't in the file, so it will look different.")


@app_commands.context_menu(name="Anima: draw again")
async def draw_again(interaction: AnimaInteraction, message: discord.Message) -> None:
    origin = await Origin.acknowledge(interaction, ephemeral=_answers_privately(interaction, message))
    job = await interaction.client.database.jobs.by_message(message.id)
    if job is not None and (job.parameters or job.private):
        await _repeat(origin, job)
    else:
        await _draw_from_file(origin, message)


def _answers_privately(interaction: AnimaInteraction, message: discord.Message) -> bool:
    """Whether only the user sees the answer, from memory and from what Discord sent of the message."""
    submitter = interaction.client.submitter
    if message.author == interaction.client.user:
        if (job_id := job_id_in(message)) is not None:
            return submitter.is_private(job_id)
        if message.flags.ephemeral or interaction.guild_id is None:
            return True
    return submitter.answers_privately(interaction, Options())


async def _repeat(origin: Origin, job: Job) -> None:
    interaction = origin.interaction
    image = image_of(interaction, job)
    if image is None or (job.private and not origin.private):
        await reply_privately(interaction, say(NO_LONGER_SAVED))
    elif job.state in LIVE:
        await reply_privately(interaction, say(STILL_BEING_DRAWN))
    else:
        await interaction.client.submitter.submit(origin, repeat(image))


async def _draw_from_file(origin: Origin, message: discord.Message) -> None:
    interaction = origin.interaction
    try:
        found = await _first_parameters(interaction.client, message)
        choice = await interaction.client.submitter.model_choice(interaction)
        replay = Replay.of(found, choice.models, choice.offered)
    except UnusableImage as error:
        await reply_privately(interaction, str(error))
        return
    request = JobRequest(
        kind="again",
        prompt=replay.prompt,
        options=replace(replay.options, private=origin.private),
        note="\n".join(_differences(replay)),
    )
    await interaction.client.submitter.submit(origin, request)


async def _first_parameters(client: discord.Client, message: discord.Message) -> Parameters:
    """Of the first image that says how it was made. Raises UnusableImage: why the first one does not."""
    images = attached_to(client, message)[:MAX_IMAGES_READ]
    if not images:
        raise UnusableImage(say(NOTHING_ATTACHED))
    errors: list[UnusableImage] = []
    for image in images:
        try:
            return await read_parameters(client, image)
        except UnusableImage as error:
            errors.append(error)
    raise errors[0]


def _differences(replay: Replay) -> list[str]:
    """How the image will differ from the file, one sentence each."""
    sentences = []
    if replay.other_model is not None:
        sentences.append(say(OTHER_MODEL, name=inline(replay.other_model, 60)))
    if replay.without:
        sentences.append(say(WITHOUT_LORAS, names=_listed(replay.without)))
    if replay.unknown:
        settings = [f"{name} {value}" for name, value in replay.unknown]
        sentences.append(say(UNKNOWN_SETTINGS, settings=_listed(settings)))
    if replay.from_image:
        sentences.append(say(FROM_PICTURE))
    return sentences


def _listed(names: Sequence[str]) -> str:
    return listed((inline(name, 60) for name in names), MAX_NAMED)
