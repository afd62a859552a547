"""The form behind **Edit**: an image's prompt, negative prompt, seed and settings, to change them and draw again."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import discord
from discord import ui
from pydantic import ValidationError

from bot.components.base import AnimaInteraction, Modal, Submitted, load_image
from bot.components.edit_again import refuse_form
from bot.components.requests import edit
from bot.generation.compose import ModelInfo, options_of_image, prompt_of_image
from bot.generation.errors import InvalidForm, InvalidOption
from bot.generation.options import Options
from bot.generation.sizes import SIZE, Size, to_multiple
from bot.generation.spec import JobImage
from bot.generation.typed.command import parse_seed
from bot.generation.typed.loras import parse_loras
from bot.generation.typed.models import models_meant, the_only
from bot.generation.typed.validation_errors import describe_ranges
from bot.generation.values import Loras, offered
from bot.jobs.acknowledgement.origin import Origin
from bot.jobs.engines import ModelUnavailable
from bot.messages.limits import MAX_CHOICES, MAX_FIELD_LENGTH
from bot.messages.replies import reply_privately
from bot.prompting.lora_syntax import take_loras, write_lora
from bot.prompting.syntax import COMMAS
from bot.text.markdown import inline
from bot.text.numbers import half_width
from bot.text.translation import N_, say
from inference.request import MAX_SEED, SAMPLERS, SCHEDULERS
from inference.weights.headers.diffusion_models import ModelFacts
from inference.weights.modelspec import ANIMA
from storage.preferences import Draft

#: Characters of a field that takes one line.
MAX_LINE_LENGTH = 100
#: With the name of a model.
MAX_SETTINGS_LENGTH = 500

#: Seconds, of the one second before a form has to be sent.
MODELS_TIMEOUT = 0.5

LOST = N_("This picture's settings are no longer saved. Use `/anima imagine` instead.")

#: The index that means all of a job's images.
ALL = "all"


class EditModal(Modal):
    name = "anima:edit-form"

    @classmethod
    async def of(cls, interaction: AnimaInteraction, image: JobImage) -> Self:
        """For one image."""
        return await cls._of(interaction, EditSource.one(image), f"{image.job.id}:{image.index}")

    @classmethod
    async def of_all(cls, interaction: AnimaInteraction, image: JobImage) -> Self:
        """For all of a job's images at once: as many are drawn again."""
        return await cls._of(interaction, EditSource.all(image), f"{image.job.id}:{ALL}")

    @classmethod
    async def _of(cls, interaction: AnimaInteraction, source: EditSource, at: str) -> Self:
        recipe, options = source.image.recipe, source.options
        models = await _models_soon(interaction)
        settings = _written((recipe.width, recipe.height), recipe.steps, recipe.cfg_scale, recipe.scheduler)
        label = say("Size, steps, CFG, scheduler")
        if len(models) > 1:
            label = say("Size, steps, CFG, scheduler, model")
            if recipe.model in models and not set(recipe.model) & set(COMMAS):
                settings = f"{settings}, {recipe.model}"
        names = offered(SAMPLERS, recipe.sampler, MAX_CHOICES)
        samplers = [discord.SelectOption(label=name, default=name == recipe.sampler) for name in names]
        sampler: ui.Select[Any] = ui.Select(custom_id=f"sampler:{at}", options=samplers)
        return cls(
            say("Edit"),
            [
                text_field(say("Prompt"), f"prompt:{at}", source.prompt_with_loras, long=True, required=True),
                text_field(say("Negative prompt"), f"negative:{at}", options.negative or "", long=True),
                text_field(say("Seed (leave empty for a new one)"), f"seed:{at}", _number(options.seed)),
                text_field(label, f"settings:{at}", settings, required=True, max_length=MAX_SETTINGS_LENGTH),
                ui.Label(text=say("Sampler"), component=sampler),
            ],
        )

    async def on_values(self, interaction: AnimaInteraction, values: Submitted) -> None:
        typed = {key.partition(":")[0]: value for key, value in values.items()}
        job_id = int(next(iter(values)).split(":")[1])
        origin = await Origin.acknowledge(interaction, ephemeral=interaction.client.submitter.is_private(job_id))
        source = await EditSource.load(interaction, values)
        if source is None:
            await reply_privately(interaction, say(LOST))
            return
        image = source.image
        try:
            model = await interaction.client.model()
            options = edited(source.options, typed, model.models)
            prompt, loras = source.read_prompt(str(typed["prompt"]), model)
        except (InvalidForm, InvalidOption) as error:
            await refuse_form(interaction, self, values, str(error))
            return
        draft = Draft(self.name, values)
        request = replace(edit(image, prompt, replace(options, loras=loras)), draft=draft)
        await interaction.client.submitter.submit(origin, request)

    async def reopened(self, interaction: AnimaInteraction, fields: Submitted) -> Self | str:
        source = await EditSource.load(interaction, fields)
        if source is None:
            return say(LOST)
        return await self._of(interaction, source, next(iter(fields)).partition(":")[2])


@dataclass(frozen=True)
class EditSource:
    """Prompt and options of one image, or of a whole job, represented by its first image."""

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


async def _models_soon(interaction: AnimaInteraction) -> Mapping[str, ModelFacts]:
    """The models that can be typed into the form; none if they are not known before it has to be sent."""
    try:
        async with asyncio.timeout(MODELS_TIMEOUT):
            return (await interaction.client.model_info.model()).models
    except (TimeoutError, ModelUnavailable):
        return {}


def text_field(
    label: str,
    custom_id: str,
    value: str,
    *,
    long: bool = False,
    required: bool = False,
    max_length: int = MAX_LINE_LENGTH,
    about: str | None = None,
) -> ui.Label[Any]:
    """`about`: what the field is for, under its label."""
    field: ui.TextInput[Any] = ui.TextInput(
        custom_id=custom_id,
        style=discord.TextStyle.paragraph if long else discord.TextStyle.short,
        default=shown(value),
        required=required,
        max_length=MAX_FIELD_LENGTH if long else max_length,
    )
    return ui.Label(text=label, description=about, component=field)


def _whole(text: str, typed: str) -> str:
    """What was typed; the whole text if its field could show only the beginning and was left unchanged."""
    return text if len(text) > MAX_FIELD_LENGTH and typed == shown(text) else typed


def shown(text: str) -> str:
    """As much of a text as a field takes."""
    return text[:MAX_FIELD_LENGTH].strip()


def edited(options: Options, typed: Submitted, models: Mapping[str, ModelFacts]) -> Options:
    """The options with what was typed applied. Raises InvalidForm. `models`: those that can be named."""
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
        **_settings(str(typed["settings"]), example, models),
        "negative": _whole(options.negative or "", str(typed["negative"])),
        "seed": seed,
        "sampler": typed["sampler"][0] if typed["sampler"] else options.sampler,
    }
    try:
        found = Options.of(changes)
        # another size is no longer that of an upscale, so the limits of other images apply
        return found if found.size == options.size else replace(found, upscaled=None)
    except ValidationError as error:
        raise InvalidForm(describe_ranges(error)) from error


_STEPS = re.compile(r"(\d{1,4})\s*steps?|steps?:?\s*(\d{1,4})")
_CFG = re.compile(r"cfg:?\s*(\d{1,3}(?:\.\d{1,3})?)")


def _written(size: Size, steps: int, cfg_scale: float, scheduler: str) -> str:
    """Settings as `_settings` reads them."""
    return f"{size[0]}x{size[1]}, {steps} steps, CFG {cfg_scale:g}, {scheduler}"


def _settings(text: str, example: str, models: Mapping[str, ModelFacts]) -> dict[str, Any]:
    """What `832x1216, 30 steps, CFG 4, simple, anima-base` says; each part may be left out. Raises InvalidForm."""
    settings: dict[str, Any] = {}
    for typed in filter(None, (part.strip() for part in re.split(f"[{COMMAS}]", text))):
        part = half_width(typed).strip().casefold()
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
        elif meant := models_meant(typed, models):
            settings["model"] = _only_model(meant, typed)
        else:
            raise InvalidForm(
                say(
                    "I don't understand “{part}”. Write settings like this: {example}",
                    part=inline(part, 50),
                    example=example,
                )
            )
    return settings


def _only_model(meant: Sequence[str], typed: str) -> str:
    try:
        return the_only(meant, typed)
    except InvalidOption as error:
        raise InvalidForm(str(error)) from error
