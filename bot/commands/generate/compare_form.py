"""Parses the options of `/anima compare`, and the form that reopens a refused one with what was typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import discord
from discord import ui

from bot.components.base import AnimaInteraction, Modal, Submitted, save_draft
from bot.generation.comparison import AxisKind, CompareOptions, parse_comparison
from bot.generation.compose import ModelInfo, resolve_options
from bot.generation.errors import InvalidForm, UserError
from bot.generation.options import Options
from bot.generation.typed.command import TypedOptions
from bot.generation.values import Speed
from bot.jobs.acknowledgement.origin import Origin
from bot.jobs.submission import JobRequest
from bot.messages.limits import MAX_FIELD_LENGTH
from bot.messages.replies import refused_form, reply_privately
from bot.text.markdown import inline
from bot.text.numbers import half_width, number, whole_number
from bot.text.translation import N_, say
from inference import NativeSettings
from inference.request import TurboLora
from storage.preferences import Draft

NOT_AN_OPTION = N_("I don't understand “{line}”. Write one option per line, such as `columns: cfg`.")
WRONG_VALUE = N_("`{option}` can't be “{value}”.")
#: The options that are on or off, and what is typed for that.
SWITCHED = ("spoiler", "private", "raw")
SWITCHES: Mapping[str, bool] = {"true": True, "false": False}


@dataclass(frozen=True, kw_only=True)
class TypedComparison(TypedOptions):
    """The options of `/anima compare` by their names; None: not given."""

    columns: str
    column_values: str | None = None
    rows: str | None = None
    row_values: str | None = None
    words: str | None = None

    def as_form(self) -> Draft | None:
        """What `CompareForm` reopens with; None if the prompt is too long for it."""
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        prompt = str(given.pop("prompt"))
        lines = [f"{name}: {_written(value)}" for name, value in given.items() if value is not None]
        form = {"prompt": prompt, "options": "\n".join(lines)}
        fits = all(len(text) <= MAX_FIELD_LENGTH for text in form.values())
        return Draft(CompareForm.name, form) if fits else None

    @classmethod
    def from_form(cls, values: Submitted) -> Self:
        """Raises InvalidForm."""
        options: dict[str, Any] = {}
        for line in filter(None, map(str.strip, str(values["options"]).splitlines())):
            name, colon, text = line.replace("：", ":", 1).partition(":")  # noqa: RUF001
            name = half_width(name).strip().casefold()
            if not colon or name not in COMPARED or not text.strip():
                raise InvalidForm(say(NOT_AN_OPTION, line=inline(line, 100)))
            options[name] = _read(name, text.strip())
        return cls(**{"columns": "", **options, "prompt": str(values["prompt"])})


#: The options that a line of the form can have.
COMPARED = frozenset(each.name for each in fields(TypedComparison)) - {"prompt", "count", "denoise"}


class CompareForm(Modal):
    """The prompt, and the other options one per line."""

    name = "anima:compare-form"

    @classmethod
    def empty(cls) -> Self:
        long = discord.TextStyle.paragraph
        prompt: ui.TextInput[Any] = ui.TextInput(custom_id="prompt", style=long, max_length=MAX_FIELD_LENGTH)
        options: ui.TextInput[Any] = ui.TextInput(custom_id="options", style=long, max_length=MAX_FIELD_LENGTH)
        about = say("One per line, such as columns: cfg")
        return cls(
            say("Compare"),
            [
                ui.Label(text=say("Prompt"), component=prompt),
                ui.Label(text=say("Options"), description=about, component=options),
            ],
        )

    async def on_values(self, interaction: AnimaInteraction, values: Submitted) -> None:
        try:
            typed = TypedComparison.from_form(values)
        except InvalidForm as error:
            privately = interaction.client.submitter.answers_privately(interaction, Options())
            await Origin.acknowledge(interaction, ephemeral=privately)
            await _refuse(interaction, Draft(self.name, values), str(error))
        else:
            await draw_comparison(interaction, typed)

    async def reopened(self, interaction: AnimaInteraction, fields: Submitted) -> Self:
        return self.empty()


async def draw_comparison(interaction: AnimaInteraction, typed: TypedComparison) -> None:
    """Acknowledges first, with what is known from memory."""
    submitter = interaction.client.submitter
    answers_privately = submitter.answers_privately(interaction, Options(private=typed.private))
    origin = await Origin.acknowledge(interaction, ephemeral=answers_privately)
    draft = typed.as_form()
    choice = await submitter.model_choice(interaction)
    try:
        read = replace(typed, private=origin.private).read(choice.model())
        drawn_with = choice.model(read.options)
        varied = CompareOptions(
            columns=_axis("columns", typed.columns),
            column_values=typed.column_values,
            rows=None if typed.rows is None else _axis("rows", typed.rows),
            row_values=typed.row_values,
            words=typed.words,
            lora=next((name for name, _ in read.options.loras or ()), None),
        )
        options = read.options
        if AxisKind.SPEED in (varied.columns, varied.rows):
            options = replace(options, turbo=False, fast=False)
        usual, turbo = _usual(options, drawn_with), _turbo(options, drawn_with, varied)
        comparison = parse_comparison(varied, usual, turbo, choice.on_offer().models)
    except UserError as error:
        await _refuse(interaction, draft, str(error))
        return
    request = JobRequest(
        kind="compare",
        prompt=read.prompt,
        options=options,
        comparison=comparison,
        note="\n".join(read.notes),
        draft=draft,
    )
    await submitter.submit(origin, request)


async def _refuse(interaction: AnimaInteraction, draft: Draft | None, sentence: str) -> None:
    if draft is None:
        await reply_privately(interaction, sentence)
        return
    draft_id = await save_draft(interaction, draft.form, draft.fields)
    await reply_privately(interaction, refused_form(sentence, draft_id))


def _axis(option: str, typed: str) -> AxisKind:
    """Raises InvalidForm."""
    try:
        return AxisKind(half_width(typed).strip().casefold())
    except ValueError:
        raise _wrong(option, typed) from None


def _read(name: str, text: str) -> Any:
    """Raises InvalidForm."""
    if name in SWITCHED:
        value: Any = SWITCHES.get(half_width(text).casefold())
    elif name == "steps":
        value = whole_number(text)
    elif name == "cfg":
        value = number(text)
    elif name == "speed":
        value = half_width(text).casefold() if half_width(text).casefold() in list(Speed) else None
    else:
        value = text
    if value is None:
        raise _wrong(name, text)
    return value


def _wrong(option: str, value: str) -> InvalidForm:
    return InvalidForm(say(WRONG_VALUE, option=option, value=inline(value, 100) if value.strip() else ""))


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).casefold()
    return f"{value:g}" if isinstance(value, float) else " ".join(str(value).split())


def _usual(typed: Options, model: ModelInfo) -> NativeSettings:
    """The steps and the CFG around which others are chosen where no values are given."""
    options = resolve_options(typed, Options(), model)
    assert options.steps and options.cfg_scale is not None
    return replace(model.native, steps=options.steps, cfg_scale=options.cfg_scale)


def _turbo(typed: Options, model: ModelInfo, varied: CompareOptions) -> TurboLora | None:
    """The turbo LoRA: of any model, if models are compared. Explicit steps or CFG conflict with its own."""
    of_others = (
        [facts.turbo for facts in model.models.values()] if AxisKind.MODEL in (varied.columns, varied.rows) else []
    )
    turbo = next((turbo for turbo in (model.turbo, *of_others) if turbo is not None), None)
    if turbo is None:
        return None
    return replace(turbo, steps=typed.steps or turbo.steps, cfg_scale=typed.cfg_scale or turbo.cfg_scale)
