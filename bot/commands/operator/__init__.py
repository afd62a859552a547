"""`/anima-operator`: a private panel for the people who run the bot, the OPERATORS of `.env`.

It works like `/anima-admin`: the custom_ids say what to do, the database has the rest, and every use is checked.
"""

from __future__ import annotations

from discord import app_commands

from bot.commands.operator.access import is_operator
from bot.commands.operator.actions import OperatorItem
from bot.commands.operator.forms import OperatorForm, operator_forms
from bot.commands.operator.pages import show
from bot.commands.tree import OPEN_TO_BLOCKED
from bot.components.base import AnimaInteraction, defer_privately

__all__ = ["OPERATOR_ITEMS", "OperatorForm", "operator", "operator_forms"]

#: For `Client.add_dynamic_items`.
OPERATOR_ITEMS = (OperatorItem,)


@app_commands.command(
    name="anima-operator",
    description="For the people who run this bot: pause, block, servers, announce",
    extras=OPEN_TO_BLOCKED,
)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=False)
@app_commands.allowed_installs(guilds=True, users=True)
async def operator(interaction: AnimaInteraction) -> None:
    if await is_operator(interaction):
        await defer_privately(interaction)
        await show(interaction, "overview")
