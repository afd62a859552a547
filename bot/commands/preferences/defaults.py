"""Shows a person's own defaults (each value and where it comes from), and parses what they type to change them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from pydantic import ValidationError

from bot.components.base import AnimaInteraction
from bot.generation.compose import ModelInfo, choose_model, resolve_options, with_offered_model
from bot.generation.errors import InvalidForm, InvalidOption
from bot.generation.options import Options, read_stored_options
from bot.generation.presets import key_of
from bot.generation.sizes import describe_size, parse_size
from bot.generation.typed.loras import parse_lora
from bot.generation.typed.validation_errors import LABELS, describe_validation_errors
from bot.jobs.model.choice import ModelChoice
from bot.rules.policy import EffectiveLimits, effective_limits, exceeds
from bot.rules.server_settings import load_server_settings, settings_guild_id
from bot.text.markdown import MAX_NAME_SHOWN, inline
from bot.text.numbers import half_width
from bot.text.translation import N_, say

#: Of each text. Discord takes 4,000 characters in all.
MAX_TEXT_SHOWN = 200

#: What is chosen from a menu, apart from custom sizes.
SELECTS = ("model", "size", "sampler", "scheduler")
OF_MODEL = ("size", "sampler", "scheduler", "steps", "cfg_scale")

#: Of what a person has not set, by where it comes from; and of what they have, with what would hold otherwise.
NOT_YOURS: Mapping[str, str] = {
    "server": N_("server default"),
    "bot": N_("bot default"),
    "model": N_("model default"),
    "default": N_("default"),
}
YOURS: Mapping[str, str] = {
    "server": N_("**yours** (server: {value})"),
    "bot": N_("**yours** (bot: {value})"),
    "model": N_("**yours** (model: {value})"),
    "default": N_("**yours** (default: {value})"),
}
WITH_TURBO = N_("set by turbo (yours without turbo: {own})")
TURBOS = N_("set by turbo")
REFUSED_HERE = N_("⚠️ above the limit here, will be refused")
NO_TURBO_HERE = N_("not available with this model")
NOT_HERE = N_("not available now")


@dataclass(frozen=True)
class PreferencesContext:
    """A user's own defaults, and what else applies where they opened the panel.

    server: the server's defaults, or the operator's outside of servers. model: the one that applies. offered: the
    models that may be used there.
    """

    own: Options
    server: Options
    model: ModelInfo
    limits: EffectiveLimits
    presets: Mapping[str, Options]
    in_server: bool
    offered: tuple[str, ...] = ()

    @classmethod
    async def of(cls, interaction: AnimaInteraction) -> Self:
        client, user_id = interaction.client, interaction.user.id
        models = await client.model()
        settings = await load_server_settings(client.database.servers, settings_guild_id(interaction))
        own = await client.submitter.preferences(user_id)
        choice = ModelChoice.of(models, settings, own)
        model = choice.model()
        kept = await client.database.preferences.presets(user_id)
        return cls(
            own=own,
            server=choice.server,
            model=model,
            limits=effective_limits(settings, model.native),
            presets={name: read_stored_options(document) for name, document in kept.items()},
            in_server=interaction.guild_id is not None,
            offered=choice.offered,
        )

    def holds(self, own: Options) -> Options:
        """The options that would apply if `own` were the user's defaults."""
        below = with_offered_model(own, self.offered).merged_over(self.server)
        return resolve_options(Options(), below, choose_model(Options(), below, self.model, self.offered))

    def preset(self, key: str) -> tuple[str, Options] | None:
        """The preset with a key, and its name."""
        return next(((name, options) for name, options in self.presets.items() if key_of(name) == key), None)


# --- What holds ---


def describe_option(name: str, context: PreferencesContext, holds: Options) -> Iterator[str]:
    """An option's effective value, where it comes from, and warnings about it."""
    own, value = getattr(context.own, name), getattr(holds, name)
    if name in ("steps", "cfg_scale") and holds.turbo and context.model.turbo is not None:
        yield format_value(name, value, context)
        yield say(TURBOS) if own is None else say(WITH_TURBO, own=format_value(name, own, context))
    elif own is not None:
        yield format_value(name, own, context)
        without = context.holds(replace(context.own, **{name: None}))
        yield say(YOURS[_source(name, context)], value=format_value(name, getattr(without, name), context))
    else:
        yield format_value(name, value, context)
        yield say(NOT_YOURS[_source(name, context)])
    if name == "turbo" and own and context.model.turbo is None:
        yield say(NO_TURBO_HERE)
    if exceeds(context.limits, name, value):
        yield say(REFUSED_HERE)


def _source(name: str, context: PreferencesContext) -> str:
    """Where an option comes from that the person has not set: the server, the bot, the model, or a default of ours."""
    if getattr(context.server, name) is not None:
        return "server" if context.in_server else "bot"
    if name == "model":
        return "bot"
    return "model" if name in OF_MODEL else "default"


def format_value(name: str, value: Any, context: PreferencesContext) -> str:
    """An option's value as text."""
    if name == "loras" and value:
        return ", ".join(_format_lora(lora, strength, context) for lora, strength in value)
    if name == "model" and value:
        shown = inline(value, MAX_NAME_SHOWN)
        return shown if value in context.offered else f"{shown} ({say(NOT_HERE)})"
    if value in ("", (), None):
        return say("none")
    match value:
        case bool() if name == "turbo":
            return say("turbo") if value else say("normal")
        case bool():
            return say("on") if value else say("off")
        case float():
            return f"{value:g}"
        case str() if name in SELECTS:
            return f"`{value}`"
        case str():
            return inline(value, MAX_TEXT_SHOWN)
    return describe_size(value) if name == "size" else str(value)


def _format_lora(lora: str, strength: float, context: PreferencesContext) -> str:
    name = inline(lora, MAX_NAME_SHOWN)
    known = name if strength == 1 else f"{name} {strength:g}"
    return known if lora in context.model.loras else f"{known} ({say(NOT_HERE)})"


def options_given(options: Options) -> list[str]:
    """The names of the options that are given, in the order of the panel."""
    return [name for name in LABELS if getattr(options, name) is not None]


async def change_defaults(interaction: AnimaInteraction, changes: Mapping[str, Any]) -> None:
    """Saves changes to the defaults of the user who used a control; None resets one."""
    await interaction.client.database.preferences.change_defaults(interaction.user.id, changes)


# --- What was typed ---


def as_text(value: Any) -> str:
    """How somebody would have typed a value."""
    match value:
        case None:
            return ""
        case float():
            return f"{value:g}"
        case ((str(), _), *_) as loras:
            return "\n".join(f"{lora}: {strength:g}" for lora, strength in loras)
        case tuple() as size:
            return "x".join(map(str, size))
    return str(value)


def parse(typed: Mapping[str, str], context: PreferencesContext) -> dict[str, Any]:
    """What was typed, as changes of the defaults; nothing takes one back. Raises InvalidForm."""
    return validate({name: _READ.get(name, _as_it_is)(text, context) if text else None for name, text in typed.items()})


def _as_it_is(text: str, context: PreferencesContext) -> Any:
    return text


def _whole(text: str, context: PreferencesContext) -> Any:
    return half_width(text).strip()


def _number(text: str, context: PreferencesContext) -> Any:
    return half_width(text).strip().replace(",", ".")


def _size(text: str, context: PreferencesContext) -> Any:
    try:
        return parse_size(text, context.model.native.sizes)
    except InvalidOption as error:
        raise InvalidForm(str(error)) from error


def _loras(text: str, context: PreferencesContext) -> Any:
    mine = [name for name, _ in context.own.loras or () if name not in context.model.loras]
    known = replace(context.model, loras=(*mine, *context.model.loras)).lora_names
    try:
        return tuple(dict(parse_lora(line, known) for line in text.splitlines() if line.strip()).items())
    except InvalidOption as error:
        raise InvalidForm(str(error)) from error


_READ: Mapping[str, Callable[[str, PreferencesContext], Any]] = {
    "size": _size,
    "count": _whole,
    "steps": _whole,
    "cfg_scale": _number,
    "denoise": _number,
    "loras": _loras,
}


def validate(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes as they are kept. Raises InvalidForm."""
    try:
        options = Options.of({name: value for name, value in changes.items() if value is not None})
    except ValidationError as error:
        raise InvalidForm(describe_validation_errors(error)) from error
    return dict.fromkeys(changes) | options.as_json()
