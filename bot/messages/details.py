"""Describes how images were made: an image's settings, and what a job's images have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import discord

from bot.generation.compose import ModelInfo
from bot.generation.recipe import Recipe
from bot.generation.redraw.area import Area
from bot.generation.spec import JobSpec
from bot.text.markdown import MAX_NAME_SHOWN, inline
from bot.text.translation import N_, say, say_plural
from inference.metadata.parameters import ANIMA_SHIFT
from inference.request import Variant
from storage.images import Image
from storage.jobs import Job


def named_settings(recipe: Recipe) -> list[tuple[str, str]]:
    """A recipe's settings by name."""
    named = [(say("Model"), inline(recipe.model, MAX_NAME_SHOWN))] if recipe.model else []
    named += [
        (say("Size"), f"{recipe.width}x{recipe.height}"),
        (say("Steps"), str(recipe.steps)),
        ("CFG", f"{recipe.cfg_scale:g}"),
        (say("Sampler"), f"`{recipe.sampler}`"),
        (say("Scheduler"), f"`{recipe.scheduler}`"),
        (say("Seed"), f"`{recipe.seed}`"),
    ]
    if recipe.shift != ANIMA_SHIFT:
        named.append((say("Shift"), f"{recipe.shift:g}"))
    if recipe.beta is not None:
        named.append((say("Beta schedule"), " / ".join(f"{part:g}" for part in recipe.beta)))
    if recipe.er_sde is not None:
        named.append(("ER-SDE", str(recipe.er_sde)))
    if recipe.fast:
        named.append((say("Speed"), say("fast: skips model blocks that would change little")))
    if recipe.uses_nag:
        named.append(("NAG", say("negative prompt applied with normalized attention guidance")))
    if recipe.loras:
        named.append(("LoRA", ", ".join(_with_strengths(recipe))))
    if recipe.denoise < 1:
        named.append((say("Denoise"), f"{recipe.denoise:g}"))
    if recipe.tile is not None:
        size = "x".join(map(str, recipe.tile))
        named.append((say("Tiles"), say("{count}, each {size}, overlapping", count=recipe.tiles, size=size)))
    if recipe.variation_seed is not None:
        value = f"`{recipe.variation_seed}`, {recipe.variation_strength:g}"
        named.append((say("Variation seed and strength"), value))
    return named


def named_area(area: Area) -> tuple[str, str]:
    """The name and value that say which part of its source image a job redrew."""
    if area.extension is not None:
        added = [say(SIDES[side], pixels=pixels) for side, pixels in zip(SIDES, area.extension, strict=True) if pixels]
        return say("Extended by"), say(", ").join(added)
    return say("Redrawn part"), say(", ").join(area.cells) if area.cells else say("the white part of a mask")


#: How far an image was extended, by side, in the order of `Area.extension`.
SIDES: Mapping[str, str] = {
    "left": N_("{pixels} pixels on the left"),
    "top": N_("{pixels} pixels above"),
    "right": N_("{pixels} pixels on the right"),
    "bottom": N_("{pixels} pixels below"),
}

#: Descriptions of the models' variants.
VARIANTS: Mapping[Variant, str] = {
    "base": N_("base model"),
    "turbo": N_("turbo model, needs few steps"),
    "aesthetic": N_("aesthetic model"),
}


def describe_model(model: ModelInfo, is_default: bool, is_loaded: bool) -> str:
    """A model's variant, whether it is the default, and whether it is loaded."""
    said = [say(VARIANTS[model.native.variant])]
    said += [say("default")] if is_default else []
    said += [say("loaded")] if is_loaded else []
    return say(", ").join(said)


def summary(spec: JobSpec) -> str:
    """What a job's images have in common and what they compare, on one line.

    The model is named only if it was not the usual one there.
    """
    settings = settings_line(*spec.recipes, usual_model=spec.usual_model)
    if spec.comparison is None:
        return settings
    return f"{inline(spec.comparison.title, 200)} · {settings}"


def settings_line(*recipes: Recipe, usual_model: str = "") -> str:
    """The settings that all recipes share, on one line, without seeds.

    usual_model: the model that is not named.
    """
    names = " ".join(_same(recipes, lambda recipe: recipe.sampler) + _same(recipes, lambda recipe: recipe.scheduler))
    parts = [
        *_same(recipes, lambda recipe: "" if recipe.model == usual_model else inline(recipe.model, MAX_NAME_SHOWN)),
        *_same(recipes, lambda recipe: f"{recipe.width}x{recipe.height}"),
        *_same(recipes, lambda recipe: say_plural("{count} step", "{count} steps", recipe.steps)),
        *_same(recipes, lambda recipe: f"CFG {recipe.cfg_scale:g}"),
        names,
        *_same(recipes, lambda recipe: ", ".join(_with_strengths(recipe))),
    ]
    if recipes[0].denoise < 1:
        parts += _same(recipes, lambda recipe: say("denoise {share}", share=f"{recipe.denoise:g}"))
    return ", ".join(filter(None, parts))


def _same(recipes: Sequence[Recipe], describe: Callable[[Recipe], str]) -> list[str]:
    """A list with the value that all recipes share; empty if they differ."""
    different = {describe(recipe) for recipe in recipes}
    return list(different) if len(different) == 1 else []


def _with_strengths(recipe: Recipe) -> list[str]:
    """The LoRAs with their strengths, except a strength of 1."""
    return [
        inline(name, 60) if strength == 1 else f"{inline(name, 60)} {strength:g}" for name, strength in recipe.loras
    ]


#: Descriptions of jobs by kind. `{source}` is the image that it comes from.
KINDS: Mapping[str, str] = {
    "reroll": N_("re-roll of {source}"),
    "vary": N_("variation of {source}"),
    "upscale": N_("upscale of {source}"),
    "edit": N_("edit of {source}"),
    "again": N_("repeat of {source}"),
    "alone": N_("single picture from {source}"),
    "redraw": N_("partial redraw of {source}"),
    "extend": N_("extension of {source}"),
}


def describe_job(job: Job, source_url: str | None) -> str:
    """What a job is, such as "3 pictures" or "upscale of a picture". `source_url`: the message of its source image."""
    if job.kind in KINDS:
        source = say("a picture")
        return say(KINDS[job.kind], source=source if source_url is None else f"[{source}]({source_url})")
    if job.kind == "compare":
        return say("comparison")
    count = len(JobSpec.of(job).recipes) if job.parameters else 1
    return say_plural("{count} picture", "{count} pictures", count)


def job_url(client: discord.Client, job: Job) -> str | None:
    """The link to a job's message, if others can see it."""
    if job.message_id is None or job.private:
        return None
    channel = client.get_partial_messageable(job.channel_id, guild_id=job.guild_id)
    return channel.get_partial_message(job.message_id).jump_url


def message_url(client: discord.Client, image: Image | None) -> str | None:
    """The link to an image's message, if others can see it."""
    if image is None or image.message_id is None or image.private or image.deleted_at is not None:
        return None
    channel = client.get_partial_messageable(image.channel_id, guild_id=image.guild_id)
    return channel.get_partial_message(image.message_id).jump_url
