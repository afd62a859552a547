"""The answer of *Info*: everything about one image, shown only to the person who asked."""

from __future__ import annotations

import io

import discord
from discord import ui

from bot.components.base import AnimaInteraction
from bot.generation.recipe import Recipe
from bot.generation.spec import JobImage
from bot.messages.details import describe_job, message_url, named_area, named_settings
from bot.messages.engine_notes import word_note
from bot.messages.fit import length
from bot.messages.layout import StaticLayout
from bot.messages.limits import MAX_TEXT_LENGTH
from bot.text.discord_clock import time_mention
from bot.text.formats import decimal
from bot.text.markdown import blockquote, inline, truncate
from bot.text.translation import say, say_plural

#: Of the `limits.MAX_TEXT_LENGTH` characters of a message.
MAX_PROMPT_SHOWN, MAX_NEGATIVE_SHOWN = 1800, 900
#: Characters for notes about what could not be applied.
MAX_NOTES_SHOWN = 600
#: Characters for the trigger words of LoRAs.
MAX_TRIGGERS_SHOWN = 500
#: Characters for line breaks and markup.
ROOM_FOR_LABELS = 50
PROMPTS_FILE = "prompt.txt"
MAX_CHILDREN = 5


async def info_layout(interaction: AnimaInteraction, image: JobImage) -> tuple[StaticLayout, list[discord.File]]:
    """What to show, and a file with the prompts if they are too long to show."""
    spec, recipe = image.spec, image.recipe
    lines = [f"### {say('How it was made')}"]
    if spec.comparison is not None:
        label = inline(spec.comparison.labels[image.index], 100)
        lines.append(f"**{label}** · {inline(spec.comparison.title, 200)}")
    settings = named_settings(recipe) + ([] if spec.area is None else [named_area(spec.area)])
    rest = [f"**{name}** {value}" for name, value in settings]
    rest += await _trigger_words(interaction, recipe)
    rest += [f"-# ⚠️ {note}" for note in await _notes(interaction, image)]
    rest += [f"-# {line}" for line in await _history(interaction, image)]
    room = MAX_TEXT_LENGTH - length("\n".join([*lines, *rest])) - ROOM_FOR_LABELS
    prompts, are_whole = _prompts(recipe, room)
    view = StaticLayout(ui.TextDisplay("\n".join([*lines, *prompts, *rest])))
    if are_whole:
        return view, []
    view.add_item(ui.File(f"attachment://{PROMPTS_FILE}"))
    return view, [discord.File(io.BytesIO(_in_full(recipe).encode("utf-8", "replace")), PROMPTS_FILE)]


def _prompts(recipe: Recipe, room: int) -> tuple[list[str], bool]:
    """The prompts in at most `room` characters, formatted, and whether they are complete."""
    negative = recipe.negative_prompt if recipe.cfg_scale != 1 or recipe.uses_nag else ""
    for divisor in (1, 2, 4, 8, 16):
        longest, longest_negative = MAX_PROMPT_SHOWN // divisor, MAX_NEGATIVE_SHOWN // divisor
        lines = [blockquote(recipe.prompt, longest)]
        if negative:
            lines += [say("Negative prompt:"), blockquote(negative, longest_negative)]
        if length("\n".join(lines)) <= room:
            break
    return lines, len(recipe.prompt) <= longest and len(negative) <= longest_negative


def _in_full(recipe: Recipe) -> str:
    if not recipe.negative_prompt:
        return recipe.prompt
    return f"{recipe.prompt}\n\n{say('Negative prompt:')}\n{recipe.negative_prompt}"


async def _trigger_words(interaction: AnimaInteraction, recipe: Recipe) -> list[str]:
    """Those that the files of its LoRAs name, as they are now."""
    facts = await interaction.client.model_info.lora_facts([name for name, _ in recipe.loras])
    words = ", ".join(each.triggers for each in facts.values() if each.triggers)
    return [f"**{say('Trigger words')}** {inline(words, MAX_TRIGGERS_SHOWN)}"] if words else []


async def _notes(interaction: AnimaInteraction, image: JobImage) -> list[str]:
    """The engine's notes about what could not be applied. A grid has those of all its cells."""
    images = {each.index: each for each in await interaction.client.database.images.of_job(image.job.id)}
    found = images.get(image.index) or images.get(0)
    text = "\n".join(map(word_note, found.notes)) if found is not None else ""
    return [inline(note, MAX_NOTES_SHOWN) for note in truncate(text, MAX_NOTES_SHOWN).splitlines()]


async def _history(interaction: AnimaInteraction, image: JobImage) -> list[str]:
    """Who asked for it, when, what was done with which image, and what was made from it."""
    images, job = interaction.client.database.images, image.job
    lines = [say("requested by {who}, {when}", who=f"<@{job.user_id}>", when=time_mention(job.queued_at))]
    if job.started_at is not None and job.rendered_at is not None:
        seconds = (job.rendered_at - job.started_at).total_seconds()
        lines.append(
            say_plural(
                "{credits} credit, drawn in {seconds} seconds",
                "{credits} credits, drawn in {seconds} seconds",
                job.cost,
                credits=decimal(job.cost),
                seconds=decimal(seconds, digits=1),
            )
        )
    if job.parent_picture_id is not None:
        parent = await images.get(job.parent_picture_id)
        lines.append(describe_job(job, message_url(interaction.client, parent)))
    own = [each for each in await images.of_job(job.id) if each.index == image.index]
    children = [child for each in own for child in await images.children(each.id, MAX_CHILDREN)][:MAX_CHILDREN]
    urls = [url for child in children if (url := message_url(interaction.client, child)) is not None]
    if urls:
        links = ", ".join(f"[{number}]({url})" for number, url in enumerate(urls, start=1))
        lines.append(say("pictures made from it: {links}", links=links))
    return lines
