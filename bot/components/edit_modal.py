"""The form behind **Edit**: a picture's prompt, negative prompt, seed and settings, to be changed and drawn again."""

from __future__ import annotations

import re
from typing import Any, Self

import discord
from discord import ui
from pydantic import ValidationError

from bot.components.base import AnimaInteraction, Modal, Submitted, reply_privately
from bot.generation.compose import options_of_image, prompt_of_image
from bot.generation.errors import InvalidForm
from bot.generation.options import Options
from bot.generation.sizes import SIZE, to_multiple
from bot.generation.spec import JobSpec
from bot.text.markdown import inline
from bot.text.translation import say
from inference.request import MAX_SEED, SAMPLERS, SCHEDULERS
from storage.jobs import Job

MAX_FIELD_LENGTH = 4000
"""Characters that Discord takes in a form's field."""

LOST = "What was to be edited is not remembered any more. Ask for it with `/anima imagine`."
SETTINGS_EXAMPLE = "832x1216, 30 steps, CFG 4, simple"


class EditForm(Modal):
    name = "anima:edit-form"

    @classmethod
    def of(cls, job: Job, drawing: JobSpec, index: int) -> Self:
        recipe, at = drawing.recipes[index], f"{job.id}:{index}"
        width, height = recipe.width, recipe.height
        settings = f"{width}x{height}, {recipe.steps} steps, CFG {recipe.cfg_scale:g}, {recipe.scheduler}"
        samplers = [discord.SelectOption(label=name, default=name == recipe.sampler) for name in SAMPLERS]
        sampler: ui.Select[Any] = ui.Select(custom_id=f"sampler:{at}", options=samplers)
        return cls(
            say("Edit"),
            [
                _typed(
                    say("Prompt"), f"prompt:{at}", prompt_of_image(job.prompt, drawing, index), long=True, required=True
                ),
                _typed(
                    say("Negative prompt"), f"negative:{at}", options_of_image(drawing, index).negative or "", long=True
                ),
                _typed(say("Seed (empty: a new one)"), f"seed:{at}", str(recipe.seed)),
                _typed(say("Size, steps, CFG, scheduler"), f"settings:{at}", settings, required=True),
                ui.Label(text=say("Sampler"), component=sampler),
            ],
        )

    async def on_submit_values(self, interaction: AnimaInteraction, values: Submitted) -> None:
        typed = {key.partition(":")[0]: value for key, value in values.items()}
        job_id, index = (int(part) for part in next(iter(values)).split(":")[1:])
        job = await interaction.client.database.jobs.get(job_id)
        drawing = JobSpec.of(job) if job is not None and job.parameters else None
        if job is None or drawing is None or job.user_id != interaction.user.id or index >= len(drawing.recipes):
            await reply_privately(interaction, say(LOST))
            return
        try:
            said = edited(options_of_image(drawing, index), typed)
        except InvalidForm as mistake:
            await reply_privately(interaction, str(mistake))
            return
        acknowledgement = await interaction.response.defer(thinking=True, ephemeral=job.private)
        prompt = _whole(prompt_of_image(job.prompt, drawing, index), str(typed["prompt"]))
        await interaction.client.intake.edit(interaction, acknowledgement, job, drawing, index, prompt, said)


def _typed(label: str, custom_id: str, value: str, *, long: bool = False, required: bool = False) -> ui.Label[Any]:
    field: ui.TextInput[Any] = ui.TextInput(
        custom_id=custom_id,
        style=discord.TextStyle.paragraph if long else discord.TextStyle.short,
        default=shown(value),
        required=required,
        max_length=MAX_FIELD_LENGTH if long else 100,
    )
    return ui.Label(text=label, component=field)


def _whole(text: str, typed: str) -> str:
    """What was typed; but a text too long for its field, which shows its beginning, is not cut by leaving it alone."""
    return text if len(text) > MAX_FIELD_LENGTH and typed == shown(text) else typed


def shown(text: str) -> str:
    """As much of a text as a field takes."""
    return text[:MAX_FIELD_LENGTH].strip()


def edited(options: Options, typed: Submitted) -> Options:
    """A picture's options, changed to what was typed for one picture of its kind. Raises InvalidForm."""
    seed = str(typed["seed"]).strip()
    if seed and not (seed.isascii() and seed.isdigit() and int(seed[:21]) <= MAX_SEED):
        raise InvalidForm(say("The seed is a whole number from 0 to {most}, or empty for a new one.", most=MAX_SEED))
    changes: dict[str, Any] = {
        **options.as_json(),
        **_settings(str(typed["settings"])),
        "negative": _whole(options.negative or "", str(typed["negative"])),
        "seed": int(seed) if seed else None,
        "sampler": typed["sampler"][0] if typed["sampler"] else options.sampler,
        "count": 1,
    }
    try:
        return Options.of(changes)
    except ValidationError as error:
        fields = ", ".join(dict.fromkeys(str(each["loc"][0]) for each in error.errors()))
        raise InvalidForm(say("That cannot be drawn; look at {fields} again.", fields=fields)) from error


_STEPS = re.compile(r"(\d{1,4})\s*steps?|steps?:?\s*(\d{1,4})")
_CFG = re.compile(r"cfg:?\s*(\d{1,3}(?:\.\d{1,3})?)")


def _settings(text: str) -> dict[str, Any]:
    """What `832x1216, 30 steps, CFG 4, simple` says; each part may be left out. Raises InvalidForm."""
    said: dict[str, Any] = {}
    for part in filter(None, (part.strip().casefold() for part in text.split(","))):
        if size := SIZE.fullmatch(part):
            said["size"] = tuple(to_multiple(int(side)) for side in size.groups())
        elif steps := _STEPS.fullmatch(part):
            said["steps"] = int(steps[1] or steps[2])
        elif cfg := _CFG.fullmatch(part):
            said["cfg_scale"] = float(cfg[1])
        elif part in SCHEDULERS:
            said["scheduler"] = part
        else:
            raise InvalidForm(
                say(
                    "I cannot tell what “{part}” means. Settings look like this: {example}",
                    part=inline(part, 50),
                    example=SETTINGS_EXAMPLE,
                )
            )
    return said
