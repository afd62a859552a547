"""The message menus *Anima: parameters* and *Anima: cancel*."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence

import discord
from discord import app_commands

from bot.commands.tree import OPEN_TO_BLOCKED
from bot.components.base import AnimaInteraction, defer_privately
from bot.components.cancel import cancel_job
from bot.components.description.describe import describe_buttons
from bot.generation.errors import UnusableImage
from bot.messages.attachments import (
    MAX_IMAGES_READ,
    NOTHING_ATTACHED,
    AttachedImage,
    attached_to,
    is_kept_by_discord,
    read_parameters,
)
from bot.messages.fit import length
from bot.messages.limits import MAX_CONTENT_LENGTH
from bot.text.markdown import blockquote, inline
from bot.text.translation import N_, say
from inference.metadata import Parameters

logger = logging.getLogger(__name__)

#: The rest is for what stands around the prompts.
MAX_TEXT_SHOWN = MAX_CONTENT_LENGTH - 200

NO_JOB = N_("There is nothing to cancel in that message.")


@app_commands.context_menu(name="Anima: parameters", extras=OPEN_TO_BLOCKED)
async def parameters(interaction: AnimaInteraction, message: discord.Message) -> None:
    await defer_privately(interaction)
    client = interaction.client
    images = [each for each in attached_to(client, message) if is_kept_by_discord(each.url)][:MAX_IMAGES_READ]
    if not images:
        await interaction.edit_original_response(content=say(NOTHING_ATTACHED))
        return
    content, whole = _answer([await _described(client, image) for image in images])
    await interaction.edit_original_response(
        content=content,
        attachments=[whole] if whole is not None else [],
        view=await describe_buttons(interaction, images),
    )


@app_commands.context_menu(name="Anima: cancel", extras=OPEN_TO_BLOCKED)
async def cancel(interaction: AnimaInteraction, message: discord.Message) -> None:
    await defer_privately(interaction)
    job = await interaction.client.database.jobs.by_message(message.id)
    outcome = say(NO_JOB) if job is None else (await cancel_job(interaction, job))[0]
    await interaction.edit_original_response(content=outcome)


async def _described(client: discord.Client, image: AttachedImage) -> tuple[str, Parameters | str]:
    """An image's name, and how it was made or why that is not known."""
    try:
        return image.name, await read_parameters(client, image)
    except UnusableImage as error:
        logger.info("an attachment could not be read (%s)", error)
        return image.name, str(error)


def _answer(images: Sequence[tuple[str, Parameters | str]]) -> tuple[str, discord.File | None]:
    """What to say; where prompts had to be cut, all of it in a file as well."""
    room = MAX_TEXT_SHOWN // len(images)
    parts = [_format_entry(name, found, room) for name, found in images]
    content = "\n\n".join(part for part, _ in parts)
    if not any(was_cut for _, was_cut in parts):
        return content, None
    whole = "\n\n".join(_in_full(name, found) for name, found in images)
    return content, discord.File(io.BytesIO(whole.encode("utf-8", "replace")), "parameters.txt")


def _format_entry(name: str, found: Parameters | str, room: int) -> tuple[str, bool]:
    """At most `room` characters, and whether something had to be left out for that."""
    title = f"**{inline(name, 100)}**"
    if isinstance(found, str):
        return f"{title}\n{found}", False
    settings = _format_parameters(found)
    for max_length in (room, room // 2, room // 4, room // 8, 20):
        lines = [title]
        if found.prompt.strip():
            lines.append(blockquote(found.prompt, max_length))
        if found.negative_prompt.strip():
            lines += [say("Negative prompt:"), blockquote(found.negative_prompt, max_length)]
        if settings:
            lines.append(f"-# {inline(settings, room // 3)}")
        text = "\n".join(lines)
        if length(text) <= room:
            was_cut = max(len(found.prompt), len(found.negative_prompt)) > max_length or len(settings) > room // 3
            return text, was_cut
    return f"{title}\n{say('Too long to show here. See the attached file.')}", True


def _in_full(name: str, found: Parameters | str) -> str:
    if isinstance(found, str):
        return f"{name}\n{found}"
    negative = say("Negative prompt:")
    return f"{name}\n{found.prompt}\n\n{negative}\n{found.negative_prompt}\n\n{_format_parameters(found)}"


def _format_parameters(found: Parameters) -> str:
    size = f"{found.width}x{found.height}" if found.width and found.height else None
    named = {
        say("size"): size,
        say("steps"): found.steps,
        "CFG": f"{found.cfg_scale:g}" if found.cfg_scale is not None else None,
        say("sampler"): found.sampler,
        say("scheduler"): found.scheduler,
        say("seed"): found.seed,
        say("denoise"): found.denoise if found.denoise < 1 else None,
        say("model"): found.model,
        "LoRA": ", ".join(lora if strength == 1 else f"{lora} {strength:g}" for lora, strength in found.loras) or None,
        say("variation seed"): found.variation_seed,
        say("variation strength"): found.variation_strength,
        say("software"): found.software,
    }
    extra = {name: ", ".join(value for its, value in found.extra if its == name) for name, _ in found.extra}
    known = {name: value for name, value in named.items() if value is not None} | extra
    return " · ".join(f"{name} {value}" for name, value in known.items())
