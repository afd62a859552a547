"""`/anima-admin`: the private panel in which a server's admins change its settings.

Each control's custom_id names its action, and all other state is in the database. So a panel works as long as its
message exists, even after a restart. Open forms do too: their fields carry the version of the settings that they
showed. A custom_id is input like any other: permissions are checked on every use.

From the bottom up: `summaries` put a server's settings into words, `context` loads and saves them, `controls` are the
buttons and selects, `suggestions`, `models`, `log_channel` and `gallery` are single pages, `pages` has all others and
shows them, `forms` ask for typed values, and `actions` do what the controls say.
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
