"""The preferences panel's buttons and menus. What they do is in `actions`, found by the templates of this module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import discord
from discord import ui

from bot.commands.preferences.defaults import SELECTS, PreferencesContext, options_given
from bot.generation.options import Options
from bot.generation.presets import key_of
from bot.generation.sizes import describe_size
from bot.generation.typed.validation_errors import LABELS
from bot.messages.limits import MAX_CHOICE_LENGTH, MAX_CHOICES
from bot.text.markdown import truncate
from bot.text.translation import N_, say
from inference.request import SAMPLERS, SCHEDULERS

#: The choice that resets one's own default.
AS_SERVER = "-"
TOGGLES = ("turbo", "raw", "spoiler", "private")
PRESET_ACTIONS: Mapping[str, str] = {"apply": N_("Apply to my defaults"), "delete": N_("Delete")}
STYLES: Mapping[str, discord.ButtonStyle] = {
    "apply": discord.ButtonStyle.success,
    "delete": discord.ButtonStyle.danger,
}

DEFAULT_TEMPLATE = rf"anima:preferences:({'|'.join(SELECTS)})"
TOGGLE_TEMPLATE = rf"anima:preferences:({'|'.join(TOGGLES)}):(on|off)"
RESET_TEMPLATE = r"anima:preferences:take-back"
PAGE_TEMPLATE = r"anima:preferences:page:(defaults|presets)"
FORM_TEMPLATE = r"anima:preferences:form:(numbers|words|loras|preset)"
PRESET_TEMPLATE = r"anima:preferences:preset"


def preset_template(action: str) -> str:
    """Of the custom_ids of `preset_button`."""
    return rf"anima:preferences:{action}:([0-9a-f]{{16}})"


def default_select(name: str, context: PreferencesContext) -> ui.Select[Any]:
    """A menu to choose a model, a size, a sampler or a scheduler."""
    label, own = say(LABELS[name]), getattr(context.own, name)
    without = getattr(context.holds(Options()), name)
    values = {_as_choice(value): value for value in _choices(name, context)}
    if own is not None:
        values = {_as_choice(own): own, **values}
    values = {choice: value for choice, value in values.items() if len(choice) <= MAX_CHOICE_LENGTH}
    back = say("{what}: server default ({value})", what=label, value=_in_choice(without))
    back = truncate(back, MAX_CHOICE_LENGTH)
    options = [discord.SelectOption(label=back, value=AS_SERVER, default=own is None)]
    options += [
        discord.SelectOption(
            label=truncate(f"{label}: {_in_choice(value)}", MAX_CHOICE_LENGTH), value=choice, default=value == own
        )
        for choice, value in values.items()
    ]
    return ui.Select(custom_id=f"anima:preferences:{name}", options=options[:MAX_CHOICES])


def _choices(name: str, context: PreferencesContext) -> Sequence[Any]:
    choices: Mapping[str, Sequence[Any]] = {
        "model": context.offered,
        "size": context.model.native.sizes,
        "sampler": SAMPLERS,
        "scheduler": SCHEDULERS,
    }
    return choices[name]


def _as_choice(value: Any) -> str:
    return value if isinstance(value, str) else "x".join(map(str, value))


def _in_choice(value: Any) -> str:
    return value if isinstance(value, str) else describe_size(value)


def toggle_button(name: str, *, to: bool) -> ui.Button[Any]:
    """Sets an option to what its custom_id says, so that two presses have the same effect as one."""
    words = (say("normal"), say("turbo")) if name == "turbo" else (say("off"), say("on"))
    style = discord.ButtonStyle.secondary if to else discord.ButtonStyle.success
    custom_id = f"anima:preferences:{name}:{'on' if to else 'off'}"
    return ui.Button(label=f"{say(LABELS[name])}: {words[not to]}", style=style, custom_id=custom_id)


def reset_select(names: Sequence[str]) -> ui.Select[Any]:
    """A menu to choose which of one's defaults to reset."""
    return ui.Select(
        custom_id="anima:preferences:take-back",
        placeholder=say("Reset to the server's setting…"),
        options=[discord.SelectOption(label=say(LABELS[name]), value=name) for name in names],
        max_values=len(names),
    )


def page_button(page: str, label: str) -> ui.Button[Any]:
    return ui.Button(label=label, custom_id=f"anima:preferences:page:{page}")


def form_button(form: str, label: str) -> ui.Button[Any]:
    return ui.Button(label=label, custom_id=f"anima:preferences:form:{form}")


def preset_select(presets: Mapping[str, Options], key: str) -> ui.Select[Any]:
    """A menu to choose the preset to look at. key: of the one that is shown now."""
    choices = [
        discord.SelectOption(
            label=name[:MAX_CHOICE_LENGTH],
            value=key_of(name),
            description=truncate(", ".join(say(LABELS[option]) for option in options_given(options)), MAX_CHOICE_LENGTH)
            or None,
            default=key_of(name) == key,
        )
        for name, options in presets.items()
    ]
    return ui.Select(custom_id="anima:preferences:preset", placeholder=say("Show a preset…"), options=choices)


def preset_button(action: str, key: str) -> ui.Button[Any]:
    """A button that does something with the preset of a key."""
    custom_id = f"anima:preferences:{action}:{key}"
    return ui.Button(label=say(PRESET_ACTIONS[action]), style=STYLES[action], custom_id=custom_id)
