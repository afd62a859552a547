"""The admin panel's page about diffusion models: the server's default, and which ones members may use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import discord

from bot.commands.admin.context import AdminContext
from bot.commands.admin.controls import MAX_CHOSEN, Items, row, select, text
from bot.generation.compose import ModelInfo
from bot.generation.typed.models import list_models
from bot.messages.details import VARIANTS
from bot.messages.limits import MAX_CHOICE_LENGTH
from bot.rules.server_settings import ServerSettings
from bot.text.markdown import MAX_NAME_SHOWN, inline, truncate
from bot.text.translation import N_, say

#: The choice that resets the server's own default.
AS_OPERATOR = "-"
MAX_MODELS_LISTED = 40

ABOUT = N_(
    "Which diffusion models members may use, and which one draws by default. Each model brings its own size, "
    "steps, CFG, sampler, prefix and negative prompt, unless you have set them under *Defaults*."
)
NOT_KNOWN = N_("The models aren't known at the moment. Open this page again in a minute.")
ONLY_ONE = N_("There is only one model here, so there is nothing to choose.")
GONE = N_("No longer available: {names}")
NONE_LEFT = N_("None of the models that members may use is still available, so nobody can draw here.")
DEFAULT_NOT_OFFERED = N_("The default model is not one that members may use, so another one is used.")


async def models_page(context: AdminContext, begin: int | None) -> Items:
    models, settings = context.models, context.settings
    lines = [f"### {say('Models')}", say(ABOUT)]
    if models is None or not models.models:
        return [text([*lines, say(NOT_KNOWN)])]
    lines += [_line(name, models) for name in list(models.models)[:MAX_MODELS_LISTED]]
    lines += [f"⚠️ {warning}" for warning in _warnings(settings, models)]
    is_set = settings.defaults.model is not None or settings.access.models
    if len(models.models) < 2 and not is_set:
        return [text([*lines, say(ONLY_ONE)])]
    items: Items = [
        text([*lines, say("The server's default model:")]),
        row(_default_select(settings.defaults.model, models)),
    ]
    if any(len(name) <= MAX_CHOICE_LENGTH for name in models.models):
        about = text([say("Models that members may use. None selected: all.")])
        items += [about, row(_offered_select(settings.access.models, models))]
    return items


def with_default_model(settings: ServerSettings, chosen: Sequence[str]) -> ServerSettings:
    """`chosen`: the name of a model; anything else is the operator's default."""
    return replace(settings, defaults=replace(settings.defaults, model=next(iter(chosen), None)))


def with_offered_models(settings: ServerSettings, chosen: Sequence[str]) -> ServerSettings:
    return replace(settings, access=replace(settings.access, models=tuple(chosen)))


def _line(name: str, models: ModelInfo) -> str:
    about = say(VARIANTS[models.of(name).native.variant])
    return f"- **{inline(name, MAX_NAME_SHOWN)}** {about}"


def _warnings(settings: ServerSettings, models: ModelInfo) -> list[str]:
    default, allowed = settings.defaults.model, settings.access.models
    gone = [name for name in dict.fromkeys((*allowed, *([default] if default else []))) if name not in models.models]
    warnings = [say(GONE, names=list_models(gone))] if gone else []
    if not settings.access.offers(models.models):
        warnings.append(say(NONE_LEFT))
    elif default is not None and default in models.models and default not in settings.access.offers([default]):
        warnings.append(say(DEFAULT_NOT_OFFERED))
    return warnings


def _default_select(default: str | None, models: ModelInfo) -> discord.ui.Select[discord.ui.View]:
    operators = say("The bot's default ({name})", name=models.default.name)
    none = discord.SelectOption(
        label=truncate(operators, MAX_CHOICE_LENGTH), value=AS_OPERATOR, default=default not in models.models
    )
    names = _listed(models, [default] if default else [], MAX_CHOSEN - 1)
    return select("default-model", [none, *(_option(name, chosen=name == default) for name in names)])


def _offered_select(allowed: Sequence[str], models: ModelInfo) -> discord.ui.Select[discord.ui.View]:
    names = _listed(models, allowed, MAX_CHOSEN)
    options = [_option(name, chosen=name in allowed) for name in names]
    return select("offered-models", options, say("All models"), min_values=0, max_values=len(options))


def _listed(models: ModelInfo, chosen: Sequence[str], max_values: int) -> list[str]:
    """As many models as fit, the chosen ones first."""
    fitting = [name for name in models.models if len(name) <= MAX_CHOICE_LENGTH]
    return sorted(fitting, key=lambda name: name not in chosen)[:max_values]


def _option(name: str, *, chosen: bool) -> discord.SelectOption:
    return discord.SelectOption(label=name, value=name, default=chosen)
