"""What the preferences panel's buttons and menus do, by the templates of their custom_ids."""

from __future__ import annotations

import re
from typing import Any, Self

from discord import ui

from bot.commands.preferences.controls import (
    AS_SERVER,
    DEFAULT_TEMPLATE,
    FORM_TEMPLATE,
    PAGE_TEMPLATE,
    PRESET_TEMPLATE,
    RESET_TEMPLATE,
    TOGGLE_TEMPLATE,
    preset_template,
)
from bot.commands.preferences.defaults import PreferencesContext, change_defaults, validate
from bot.commands.preferences.forms import DEFAULTS_FORMS, SAVED, DefaultsAsPresetForm
from bot.commands.preferences.pages import show
from bot.components.base import ABSTRACT, AnimaInteraction, Component, defer_update, open_form
from bot.generation.errors import InvalidForm
from bot.generation.options import Options
from bot.generation.presets import MAX_NAME_LENGTH, without_seed
from bot.text.markdown import inline
from bot.text.translation import N_, say

RESET = N_("Reset.")
APPLIED = N_("“{name}” was applied to your defaults. Anything it doesn't set stays the same.")
DELETED = N_("Deleted “{name}”.")
NO_PRESET = N_("That preset no longer exists.")


class PreferencesItem(Component, template=ABSTRACT):
    """A button or menu of the panel. `arguments` are the groups of its template."""

    open_to_blocked = True

    def __init__(self, item: ui.Item[Any], *arguments: str) -> None:
        super().__init__(item)
        self.arguments = arguments

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: re.Match[str], /) -> Self:
        return cls(item, *match.groups())


class SelectDefault(PreferencesItem, template=DEFAULT_TEMPLATE):
    """Sets a size, a sampler or a scheduler, or resets it."""

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await defer_update(interaction)
        (name,), chosen = self.arguments, _chosen(interaction)[0]
        if chosen == AS_SERVER:
            await change_defaults(interaction, {name: None})
            await show(interaction, "defaults", say(RESET))
            return
        try:
            changes = validate({name: chosen.split("x") if name == "size" else chosen})
        except InvalidForm as error:
            await show(interaction, "defaults", str(error))
            return
        await change_defaults(interaction, changes)
        await show(interaction, "defaults", say(SAVED))


class ToggleDefault(PreferencesItem, template=TOGGLE_TEMPLATE):
    async def on_use(self, interaction: AnimaInteraction) -> None:
        await defer_update(interaction)
        name, to = self.arguments
        await change_defaults(interaction, {name: to == "on"})
        await show(interaction, "defaults", say(SAVED))


class ResetDefaults(PreferencesItem, template=RESET_TEMPLATE):
    async def on_use(self, interaction: AnimaInteraction) -> None:
        await defer_update(interaction)
        await change_defaults(interaction, dict.fromkeys(_chosen(interaction)))
        await show(interaction, "defaults", say(RESET))


class OpenPage(PreferencesItem, template=PAGE_TEMPLATE):
    async def on_use(self, interaction: AnimaInteraction) -> None:
        await defer_update(interaction)
        await show(interaction, "presets" if self.arguments == ("presets",) else "defaults")


class OpenForm(PreferencesItem, template=FORM_TEMPLATE):
    async def on_use(self, interaction: AnimaInteraction) -> None:
        (form,) = self.arguments
        if form == "preset":
            await interaction.response.send_modal(DefaultsAsPresetForm.empty())
        else:
            await open_form(interaction, DEFAULTS_FORMS[form].now(interaction))


class ShowPreset(PreferencesItem, template=PRESET_TEMPLATE):
    """Shows what is in one of the presets, with what can be done with it."""

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await defer_update(interaction)
        await show(interaction, "presets", preset=_chosen(interaction)[0])


class PresetItem(PreferencesItem, template=ABSTRACT):
    """An action on one of the presets of the user who presses it."""

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await defer_update(interaction)
        (key,) = self.arguments
        found = (await PreferencesContext.of(interaction)).preset(key)
        notice = say(NO_PRESET) if found is None else await self.on_press(interaction, *found)
        await show(interaction, "presets", notice, key)

    async def on_press(self, interaction: AnimaInteraction, name: str, options: Options) -> str:
        """Returns what has come of it, in a sentence."""
        raise NotImplementedError


class ApplyPreset(PresetItem, template=preset_template("apply")):
    async def on_press(self, interaction: AnimaInteraction, name: str, options: Options) -> str:
        await change_defaults(interaction, without_seed(options).as_json())
        return say(APPLIED, name=inline(name, MAX_NAME_LENGTH))


class DeletePreset(PresetItem, template=preset_template("delete")):
    async def on_press(self, interaction: AnimaInteraction, name: str, options: Options) -> str:
        deleted = await interaction.client.database.preferences.delete_preset(interaction.user.id, name)
        return say(DELETED, name=inline(name, MAX_NAME_LENGTH)) if deleted else say(NO_PRESET)


def _chosen(interaction: AnimaInteraction) -> list[str]:
    data: Any = interaction.data
    values: list[str] = data["values"]
    return values


#: For `Client.add_dynamic_items`.
PREFERENCES_ITEMS = (
    SelectDefault,
    ToggleDefault,
    ResetDefaults,
    OpenPage,
    OpenForm,
    ShowPreset,
    ApplyPreset,
    DeletePreset,
)
