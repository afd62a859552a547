"""`/anima preferences`: one private panel of a person's own defaults and presets.

Every control says in its custom_id what it does, and the database knows the rest, so a panel works for as long as its
message is there, after restarts too. A custom_id is input like any other: whoever uses a control changes what is their
own. Each change writes nothing but what it changes, so two at once do not undo each other.

From the bottom up: `defaults` says what a person has set and what holds, `controls` are the buttons and menus, `fields`
those of forms, `pages` are made of both, `forms` ask for what has to be typed, and `actions` are what controls do.
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
