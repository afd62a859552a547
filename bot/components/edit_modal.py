"""The form behind **Edit**: an image's prompt, negative prompt, seed and settings, to be changed and drawn again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import discord
from discord import ui
from pydantic import ValidationError

from bot.components.base import AnimaInteraction, Modal, Submitted, load_image
from bot.components.edit_again import refuse_form, save_draft
from bot.components.requests import edit
from bot.generation.compose import ModelInfo, options_of_image, prompt_of_image
from bot.generation.errors import InvalidForm, InvalidOption
from bot.generation.options import Options
from bot.generation.sizes import SIZE, Size, to_multiple
from bot.generation.spec import JobImage
from bot.generation.typed.command import parse_seed
from bot.generation.typed.loras import parse_loras
from bot.generation.values import MIN_CFG_SCALE, MIN_SIDE, Loras, offered
from bot.jobs.submission import Origin
from bot.messages.limits import MAX_CHOICES, MAX_FIELD_LENGTH
from bot.messages.replies import refused_form, reply_privately
from bot.prompting.lora_syntax import take_loras, write_lora
from bot.text.markdown import inline
from bot.text.numbers import half_width
from bot.text.translation import N_, say
from inference.request import MAX_CFG_SCALE, MAX_SEED, MAX_SIDE, MAX_STEPS, SAMPLERS, SCHEDULERS
from inference.weights.modelspec import ANIMA

#: Characters of a field that takes one line.
MAX_LINE_LENGTH = 100

LOST = N_("This picture's settings are no longer saved. Use `/anima imagine` instead.")
#: What each setting is called, and the least and the most that it may be.
NAMES: Mapping[str, str] = {"size": N_("Size"), "steps": N_("Steps"), "cfg_scale": N_("CFG scale")}
RANGES = {"size": (MIN_SIDE, MAX_SIDE), "steps": (1, MAX_STEPS), "cfg_scale": (MIN_CFG_SCALE, MAX_CFG_SCALE)}


#: The index that means all of a job's images.
ALL = "all"


class EditModal(Modal):
    name = "anima:edit-form"

    @classmethod
    def of(cls, image: JobImage) -> Self:
        """For one image."""
        return cls._of(_Source.one(image), f"{image.job.id}:{image.index}")

    @classmethod
    def of_all(cls, image: JobImage) -> Self:
        """For all of a job's images at once: as many are drawn again."""
        return cls._of(_Source.all(image), f"{image.job.id}:{ALL}")

    @classmethod
    def _of(cls, source: _Source, at: str) -> Self:
        recipe, options = source.image.recipe, source.options
        settings = _written((recipe.width, recipe.height), recipe.steps, recipe.cfg_scale, recipe.scheduler)
        names = offered(SAMPLERS, recipe.sampler, MAX_CHOICES)
        samplers = [discord.SelectOption(label=name, default=name == recipe.sampler) for name in names]
        sampler: ui.Select[Any] = ui.Select(custom_id=f"sampler:{at}", options=samplers)
        return cls(
            say("Edit"),
            [
                _text_field(say("Prompt"), f"prompt:{at}", source.prompt_with_loras, long=True, required=True),
                _text_field(say("Negative prompt"), f"negative:{at}", options.negative or "", long=True),
                _text_field(say("Seed (leave empty for a new one)"), f"seed:{at}", _number(options.seed)),
                _text_field(say("Size, steps, CFG, scheduler"), f"settings:{at}", settings, required=True),
                ui.Label(text=say("Sampler"), component=sampler),
            ],
        )

    async def on_values(self, interaction: AnimaInteraction, values: Submitted) -> None:
        typed = {key.partition(":")[0]: value for key, value in values.items()}
        job_id = int(next(iter(values)).split(":")[1])
        origin = await Origin.acknowledge(interaction, ephemeral=interaction.client.submitter.is_private(job_id))
        source = await _Source.load(interaction, values)
        if source is None:
            await reply_privately(interaction, say(LOST))
            return
        image = source.image
        try:
            options = edited(source.options, typed)
        except InvalidForm as error:
            await refuse_form(interaction, self, values, str(error))
            return
        draft_id = await save_draft(interaction, self, values)
        try:
            prompt, loras = source.read_prompt(str(typed["prompt"]), await interaction.client.model())
        except InvalidOption as error:
            await reply_privately(interaction, refused_form(str(error), draft_id))
            return
        request = replace(edit(image, prompt, replace(options, loras=loras)), draft_id=draft_id)
        await interaction.client.submitter.submit(origin, request)

    async def reopened(self, interaction: AnimaInteraction, fields: Submitted) -> Self | None:
        source = await _Source.load(interaction, fields)
        if source is None:
            await reply_privately(interaction, say(LOST))
            return None
        return self._of(source, next(iter(fields)).partition(":")[2])


@dataclass(frozen=True)
class _Source:
    """What is edited: prompt and options of one image, or of a whole job, represented by its first image."""

    image: JobImage
    prompt: str
    options: Options

    @classmethod
    async def load(cls, interaction: AnimaInteraction, fields: Submitted) -> Self | None:
        """What a form was opened for, by the custom_ids of its fields; None if that no longer exists."""
        _, job_id, index = next(iter(fields)).split(":")
        image = await load_image(interaction, int(job_id), 0 if index == ALL else int(index))
        if image is None:
            return None
        return cls.all(image) if index == ALL else cls.one(image)

    @classmethod
    def one(cls, image: JobImage) -> Self:
        options = replace(options_of_image(image.spec, image.index), count=1)
        return cls(image, prompt_of_image(image.job.prompt, image.spec, image.index), options)

    @classmethod
    def all(cls, image: JobImage) -> Self:
        return cls(image, image.job.prompt, image.spec.options)

    @property
    def prompt_with_loras(self) -> str:
        """The prompt to edit, with the options' LoRAs in it if the field has room."""
        tags = filter(None, (write_lora(*lora) for lora in self.options.loras or ()))
        text = " ".join([self.prompt, *tags])
        return text if len(text) <= MAX_FIELD_LENGTH else self.prompt

    def read_prompt(self, typed: str, model: ModelInfo) -> tuple[str, Loras]:
        """The prompt that was typed, and the LoRAs: those in it, and those that did not fit into the field.

        Raises InvalidOption for an unknown LoRA.
        """
        prompt, in_prompt = take_loras(_whole(self.prompt_with_loras, typed))
        had_room = self.prompt_with_loras != self.prompt
        kept = {name: by for name, by in self.options.loras or () if not had_room or write_lora(name, by) is None}
        loras = kept | dict(parse_loras((), in_prompt, model.lora_names) or ())
        return prompt, tuple(loras.items())


def _number(number: int | None) -> str:
    return "" if number is None else str(number)


def _text_field(label: str, custom_id: str, value: str, *, long: bool = False, required: bool = False) -> ui.Label[Any]:
    field: ui.TextInput[Any] = ui.TextInput(
        custom_id=custom_id,
        style=discord.TextStyle.paragraph if long else discord.TextStyle.short,
        default=shown(value),
        required=required,
        max_length=MAX_FIELD_LENGTH if long else MAX_LINE_LENGTH,
    )
    return ui.Label(text=label, component=field)


def _whole(text: str, typed: str) -> str:
    """What was typed; but a text too long for its field, which shows its beginning, is not cut by leaving it alone."""
    return text if len(text) > MAX_FIELD_LENGTH and typed == shown(text) else typed


def shown(text: str) -> str:
    """As much of a text as a field takes."""
    return text[:MAX_FIELD_LENGTH].strip()


def edited(options: Options, typed: Submitted) -> Options:
    """The options with what was typed applied. Raises InvalidForm."""
    try:
        seed = parse_seed(str(typed["seed"]).strip() or None)
    except InvalidOption:
        raise InvalidForm(
            say("The seed must be a whole number from 0 to {most}, or empty for a new one.", most=MAX_SEED)
        ) from None
    example = _written(
        options.size or ANIMA.sizes[0],
        options.steps or ANIMA.steps,
        options.cfg_scale or ANIMA.cfg_scale,
        options.scheduler or ANIMA.scheduler,
    )
    changes: dict[str, Any] = {
        **options.as_json(),
        **_settings(str(typed["settings"]), example),
        "negative": _whole(options.negative or "", str(typed["negative"])),
        "seed": seed,
        "sampler": typed["sampler"][0] if typed["sampler"] else options.sampler,
    }
    try:
        return Options.of(changes)
    except ValidationError as error:
        raise InvalidForm(_mistake(error)) from error


def _mistake(error: ValidationError) -> str:
    """Which settings are wrong, and what they may be."""
    fields = list(dict.fromkeys(str(each["loc"][0]) for each in error.errors()))
    if all(field in RANGES for field in fields):
        return " ".join(map(_range, fields))
    return say("These settings can't be used: {fields}. Check them and try again.", fields=say(", ").join(fields))


def _range(field: str) -> str:
    least, most = RANGES[field]
    return say("{field} must be from {least} to {most}.", field=say(NAMES[field]), least=f"{least:g}", most=f"{most:g}")


_STEPS = re.compile(r"(\d{1,4})\s*steps?|steps?:?\s*(\d{1,4})")
_CFG = re.compile(r"cfg:?\s*(\d{1,3}(?:\.\d{1,3})?)")


def _written(size: Size, steps: int, cfg_scale: float, scheduler: str) -> str:
    """What `_settings` reads."""
    return f"{size[0]}x{size[1]}, {steps} steps, CFG {cfg_scale:g}, {scheduler}"


def _settings(text: str, example: str) -> dict[str, Any]:
    """What `832x1216, 30 steps, CFG 4, simple` says; each part may be left out. Raises InvalidForm."""
    settings: dict[str, Any] = {}
    for part in filter(None, (part.strip().casefold() for part in half_width(text).split(","))):
        if size := SIZE.fullmatch(part):
            settings["size"] = tuple(to_multiple(int(side)) for side in size.groups())
        elif re.fullmatch(r"\d{3,4}", part):
            settings["size"] = (to_multiple(int(part)),) * 2
        elif steps := _STEPS.fullmatch(part):
            settings["steps"] = int(steps[1] or steps[2])
        elif cfg := _CFG.fullmatch(part):
            settings["cfg_scale"] = float(cfg[1])
        elif part in SCHEDULERS:
            settings["scheduler"] = part
        else:
            raise InvalidForm(
                say(
                    "I don't understand “{part}”. Write settings like this: {example}",
                    part=inline(part, 50),
                    example=example,
                )
            )
    return settings
