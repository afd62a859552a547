"""`/anima preferences`: one private panel of a user's own defaults and presets.

Each control's custom_id names its action, and all other state is in the database. So a panel works as long as its
message exists, even after a restart. A custom_id is input like any other: a control only changes what belongs to the
user who clicks it. Each change saves only the values that it changes, so two at once do not undo each other.

From the bottom up: `defaults` loads a user's defaults and what applies with them, `controls` are the buttons and menus,
`fields` the fields of forms, `pages` what the panel shows, `forms` ask for typed values, and `actions` do what the
controls say.
"""

from __future__ import annotations

from discord import app_commands

from bot.commands.preferences.actions import PREFERENCES_ITEMS
from bot.commands.preferences.forms import DEFAULTS_FORMS, DefaultsAsPresetForm
from bot.commands.preferences.pages import show
from bot.commands.tree import OPEN_TO_BLOCKED
from bot.components.base import AnimaInteraction, defer_privately

__all__ = ["PREFERENCES_ITEMS", "PREFERENCES_MODALS", "preferences"]

PREFERENCES_MODALS = (*DEFAULTS_FORMS.values(), DefaultsAsPresetForm)


@app_commands.command(description="Your own defaults and presets", extras=OPEN_TO_BLOCKED)
async def preferences(interaction: AnimaInteraction) -> None:
    await defer_privately(interaction)
    await show(interaction, "defaults")
