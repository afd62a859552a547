"""`/anima-admin`: the private panel in which a server's admins change its settings.

Every control says in its custom_id what it does and the database knows the rest, so a panel works for as long as its
message is there, after restarts too. The same goes for open forms: their fields carry the version of the settings that
they showed. A custom_id is input like any other: who uses it is checked each time.

From the bottom up: `summaries` say what is set in a server, `context` is a server as its admins see it, `controls` are
the buttons and selects, `pages` are made of both, `forms` ask for what has to be typed, and `actions` are what controls
do.
"""

from __future__ import annotations

from discord import app_commands

from bot.commands.admin.actions import ACTIONS, AdminItem
from bot.commands.admin.context import is_admin
from bot.commands.admin.forms import FORMS, AdminForm, admin_forms
from bot.commands.admin.pages import PAGES, show
from bot.commands.tree import OPEN_TO_BLOCKED
from bot.components.base import AnimaInteraction, defer_privately

__all__ = ["ACTIONS", "ADMIN_ITEMS", "FORMS", "PAGES", "AdminForm", "admin", "admin_forms"]

#: For `Client.add_dynamic_items`.
ADMIN_ITEMS = (AdminItem,)


@app_commands.command(
    name="anima-admin",
    description="Settings for this server: limits, quotas, channels, safety",
    extras=OPEN_TO_BLOCKED,
)
@app_commands.default_permissions(manage_guild=True)
@app_commands.guild_only()
@app_commands.guild_install()
async def admin(interaction: AnimaInteraction) -> None:
    if await is_admin(interaction):
        await defer_privately(interaction)
        await show(interaction, "overview")
