"""The slash commands, a file for each family; they parse options and hand them on, no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from discord import app_commands

from bot.commands import help, history, menus, privacy, queue, quota
from bot.commands.admin import ADMIN_ITEMS, admin
from bot.commands.compare import compare
from bot.commands.imagine import imagine

if TYPE_CHECKING:
    from bot.client import AnimaClient

COMPONENTS = (*queue.COMPONENTS, *history.COMPONENTS, *privacy.COMPONENTS, *help.COMPONENTS, *ADMIN_ITEMS)
"""The buttons and menus in what these commands answer, for the client to listen for."""


def register(tree: app_commands.CommandTree[AnimaClient]) -> None:
    anima = app_commands.Group(name="anima", description="Draw with Anima")
    commands: tuple[app_commands.Command[Any, ..., Any], ...] = (
        imagine,
        compare,
        queue.queue,
        history.history,
        quota.quota,
        privacy.privacy,
        help.help,
    )
    for command in commands:
        anima.add_command(command)
    tree.add_command(anima)
    tree.add_command(admin)
    tree.add_command(menus.parameters)
    tree.add_command(menus.cancel)
