"""What the menu of a message offers: *Anima: parameters* and *Anima: cancel*."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Sequence

import discord
from discord import app_commands

from bot.components.base import AnimaInteraction
from bot.components.cancel import cancel_own
from bot.generation.errors import UnusableImage
from bot.messages.attachments import MAX_FILE, AttachedPicture, attached_to, fetch, is_kept_by_discord
from bot.text.markdown import blockquote, inline
from bot.text.translation import say
from inference.metadata import Parameters, UnreadableImage, read

logger = logging.getLogger(__name__)

MAX_READ = 4
"""Pictures of one message that are looked into."""
TEXT_SHOWN = 1800
"""Discord takes 2,000 characters; some are for what stands around the prompts."""

NO_PICTURE = "There is no picture attached to that message."
TELLS_NOTHING = "Nothing in the file says how it was made. Many sites and chats strip that when a picture is uploaded."
TOO_LARGE = "Too large to be looked into; {limit} MiB is the most."
OUT_OF_REACH = "Discord does not hand the file out any more."
UNREADABLE = "No picture that can be read."
NO_JOB = "That message is not a picture that you are waiting for."


@app_commands.context_menu(name="Anima: parameters")
async def parameters(interaction: AnimaInteraction, message: discord.Message) -> None:
    await interaction.response.defer(ephemeral=True)
    client = interaction.client
    pictures = [each for each in attached_to(client, message) if is_kept_by_discord(each.url)][:MAX_READ]
    if not pictures:
        await interaction.edit_original_response(content=say(NO_PICTURE))
        return
    told = [await _told(client, picture) for picture in pictures]
    content, whole = _answer(told)
    await interaction.edit_original_response(content=content, attachments=[whole] if whole is not None else [])


@app_commands.context_menu(name="Anima: cancel")
async def cancel(interaction: AnimaInteraction, message: discord.Message) -> None:
    await interaction.response.defer(ephemeral=True)
    job = await interaction.client.database.jobs.by_message(message.id)
    said = say(NO_JOB) if job is None else await cancel_own(interaction, job)
    await interaction.edit_original_response(content=said)


async def _told(client: discord.Client, picture: AttachedPicture) -> tuple[str, Parameters | str]:
    """A picture's name, and how it was made or why that cannot be told."""
    if picture.size is not None and picture.size > MAX_FILE:
        return picture.name, say(TOO_LARGE, limit=MAX_FILE >> 20)
    try:
        data = await fetch(client, picture.url, picture.size)
        found = await asyncio.to_thread(read, data)
    except UnusableImage as error:
        logger.info("an attachment could not be fetched (%s)", error)
        return picture.name, say(OUT_OF_REACH)
    except UnreadableImage:
        return picture.name, say(UNREADABLE)
    return picture.name, say(TELLS_NOTHING) if found is None else found


def _answer(told: Sequence[tuple[str, Parameters | str]]) -> tuple[str, discord.File | None]:
    """What to say; where prompts had to be cut, all of it in a file as well."""
    room = TEXT_SHOWN // len(told)
    parts = [_shown(name, about, room) for name, about in told]
    content = "\n\n".join(part for part, _ in parts)
    if not any(was_cut for _, was_cut in parts):
        return content, None
    whole = "\n\n".join(_in_full(name, about) for name, about in told)
    return content, discord.File(io.BytesIO(whole.encode("utf-8", "replace")), "parameters.txt")


def _shown(name: str, about: Parameters | str, room: int) -> tuple[str, bool]:
    """At most `room` characters, and whether something had to be left out for that."""
    title = f"**{inline(name, 100)}**"
    if isinstance(about, str):
        return f"{title}\n{about}", False
    settings = _settings(about)
    for longest in (room, room // 2, room // 4, room // 8, 20):
        lines = [title]
        if about.prompt.strip():
            lines.append(blockquote(about.prompt, longest))
        if about.negative_prompt.strip():
            lines += [say("Negative:"), blockquote(about.negative_prompt, longest)]
        if settings:
            lines.append(f"-# {inline(settings, room // 3)}")
        text = "\n".join(lines)
        if len(text) <= room:
            was_cut = max(len(about.prompt), len(about.negative_prompt)) > longest or len(settings) > room // 3
            return text, was_cut
    return f"{title}\n{say('Too much to show here; it is in the file.')}", True


def _in_full(name: str, about: Parameters | str) -> str:
    if isinstance(about, str):
        return f"{name}\n{about}"
    return f"{name}\n{about.prompt}\n\n{say('Negative:')}\n{about.negative_prompt}\n\n{_settings(about)}"


def _settings(about: Parameters) -> str:
    size = f"{about.width}x{about.height}" if about.width and about.height else None
    named = {
        say("size"): size,
        say("steps"): about.steps,
        "CFG": f"{about.cfg_scale:g}" if about.cfg_scale is not None else None,
        say("sampler"): about.sampler,
        say("scheduler"): about.scheduler,
        say("seed"): about.seed,
        say("denoise"): about.denoise if about.denoise < 1 else None,
        say("model"): about.model,
        "LoRA": ", ".join(f"{lora} {strength:g}" for lora, strength in about.loras) or None,
        say("variation seed"): about.variation_seed,
        say("variation strength"): about.variation_strength,
        say("software"): about.software,
    }
    known = {name: value for name, value in named.items() if value is not None} | dict(about.extra)
    return " · ".join(f"{name} {value}" for name, value in known.items())
