"""Everything about one picture, told to the one who asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import discord
from discord import ui

from bot.components.base import AnimaInteraction, StaticLayout
from bot.generation.recipe import Recipe
from bot.generation.spec import JobSpec
from bot.text.markdown import blockquote, inline
from bot.text.translation import say
from storage.images import Image
from storage.jobs import Job

MAX_PROMPT_LENGTH, MAX_NEGATIVE_LENGTH = 1800, 900
"""Of the 4,000 characters that a message with components may have."""


async def whole(interaction: AnimaInteraction, job: Job, drawing: JobSpec, index: int) -> StaticLayout:
    recipe = drawing.recipes[index]
    lines = [f"### {say('How it was made')}"]
    if drawing.comparison is not None:
        label = inline(drawing.comparison.labels[index], 100)
        lines.append(f"**{label}** · {inline(drawing.comparison.title, 200)}")
    lines.append(blockquote(recipe.prompt, MAX_PROMPT_LENGTH))
    if recipe.negative_prompt and recipe.cfg_scale != 1:
        lines += [say("Negative prompt:"), blockquote(recipe.negative_prompt, MAX_NEGATIVE_LENGTH)]
    lines += [f"**{name}** {value}" for name, value in settings(recipe)]
    lines += [f"-# {part}" for part in await _history(interaction, job, index)]
    return StaticLayout(ui.TextDisplay("\n".join(lines)))


def settings(recipe: Recipe) -> list[tuple[str, str]]:
    """A recipe's settings by name."""
    named = [
        (say("Size"), f"{recipe.width}x{recipe.height}"),
        (say("Steps"), str(recipe.steps)),
        ("CFG", f"{recipe.cfg_scale:g}"),
        (say("Sampler"), f"`{recipe.sampler}`"),
        (say("Scheduler"), f"`{recipe.scheduler}`"),
        (say("Seed"), f"`{recipe.seed}`"),
    ]
    if recipe.loras:
        named.append(("LoRA", ", ".join(_with_strengths(recipe))))
    if recipe.denoise < 1:
        named.append((say("Drawn anew from a picture"), f"{recipe.denoise:.0%}"))
    if recipe.variation_seed is not None:
        value = f"`{recipe.variation_seed}`, {recipe.variation_strength:.0%}"
        named.append((say("Variation seed and strength"), value))
    return named


def about(drawing: JobSpec) -> str:
    """What a job's pictures have in common, on one line, and what is compared in them."""
    settings = in_words(*drawing.recipes)
    if drawing.comparison is None:
        return settings
    return f"{inline(drawing.comparison.title, 200)} · {settings}"


def in_words(*recipes: Recipe) -> str:
    """The settings that are the same in all of some recipes, on one line, without seeds."""
    names = " ".join(_same(recipes, lambda recipe: recipe.sampler) + _same(recipes, lambda recipe: recipe.scheduler))
    parts = [
        *_same(recipes, lambda recipe: f"{recipe.width}x{recipe.height}"),
        *_same(recipes, lambda recipe: say("{count} steps", count=recipe.steps)),
        *_same(recipes, lambda recipe: f"CFG {recipe.cfg_scale:g}"),
        names,
        *_same(recipes, lambda recipe: ", ".join(_with_strengths(recipe))),
    ]
    if recipes[0].denoise < 1:
        parts += _same(recipes, lambda recipe: say("{share} drawn anew", share=f"{recipe.denoise:.0%}"))
    return ", ".join(filter(None, parts))


def _same(recipes: Sequence[Recipe], said: Callable[[Recipe], str]) -> list[str]:
    """What is said of every recipe, if it is the same of all."""
    different = {said(recipe) for recipe in recipes}
    return list(different) if len(different) == 1 else []


def _with_strengths(recipe: Recipe) -> list[str]:
    return [f"{inline(name, 60)} {strength:g}" for name, strength in recipe.loras]


def address_of(client: discord.Client, picture: Image | None) -> str | None:
    """The address of a picture's message, if it has one that can be seen."""
    if picture is None or picture.message_id is None or picture.private or picture.deleted_at is not None:
        return None
    channel = client.get_partial_messageable(picture.channel_id, guild_id=picture.guild_id)
    return channel.get_partial_message(picture.message_id).jump_url


async def _history(interaction: AnimaInteraction, job: Job, index: int) -> list[str]:
    """Who asked for it, when, what it was made from, and what was made from it."""
    pictures = interaction.client.database.images
    about = [say("asked for by {who}, {when}", who=f"<@{job.user_id}>", when=discord.utils.format_dt(job.queued_at))]
    if job.started_at is not None and job.rendered_at is not None:
        seconds = (job.rendered_at - job.started_at).total_seconds()
        cost = say("{credits} credits, drawn in {seconds} s", credits=f"{job.cost:.2f}", seconds=f"{seconds:.1f}")
        about.append(cost)
    if job.parent_picture_id is not None:
        parent = await pictures.get(job.parent_picture_id)
        address = address_of(interaction.client, parent)
        if address is not None:
            about.append(say("made from [this picture]({address})", address=address))
    own = [picture for picture in await pictures.of_job(job.id) if picture.index == index]
    children = [child for picture in own for child in await pictures.children(picture.id)]
    links = [address for child in children[:5] if (address := address_of(interaction.client, child)) is not None]
    if links:
        numbered = ", ".join(f"[{number}]({address})" for number, address in enumerate(links, start=1))
        about.append(say("made from it: {links}", links=numbered))
    return about
