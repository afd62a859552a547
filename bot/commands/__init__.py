"""The slash commands, a module for each family, with the panels and forms that they open."""

from __future__ import annotations

from typing import Any

from discord import app_commands

from bot.client import AnimaClient
from bot.commands import context_menus, help, history, moderation, privacy, queue, quota
from bot.commands.admin import ADMIN_ITEMS, admin
from bot.commands.generate import draw_again
from bot.commands.generate.compare import compare
from bot.commands.generate.compare_form import CompareForm
from bot.commands.generate.describe import describe
from bot.commands.generate.imagine import imagine
from bot.commands.operator import OPERATOR_ITEMS, operator
from bot.commands.preferences import PREFERENCES_ITEMS, PREFERENCES_MODALS, preferences
from bot.components.base import Component

#: Handlers of the buttons and menus in these commands' answers.
HANDLERS: tuple[type[Component], ...] = (
    *queue.HANDLERS,
    *history.HANDLERS,
    *PREFERENCES_ITEMS,
    *privacy.HANDLERS,
    *help.HANDLERS,
    *ADMIN_ITEMS,
    *OPERATOR_ITEMS,
)
MODALS = (*PREFERENCES_MODALS, CompareForm)

EVERYWHERE = app_commands.AppCommandContext(guild=True, dm_channel=True, private_channel=True)
IN_SERVERS = app_commands.AppCommandContext(guild=True, dm_channel=False, private_channel=False)
BY_SERVERS = app_commands.AppInstallationType(guild=True, user=False)
SERVERS_AND_PEOPLE = app_commands.AppInstallationType(guild=True, user=True)


def register(
    tree: app_commands.CommandTree[AnimaClient], *, has_operators: bool = False, can_describe: bool = False
) -> None:
    anima = app_commands.Group(
        name="anima",
        description="Draw with Anima",
        allowed_contexts=EVERYWHERE,
        allowed_installs=SERVERS_AND_PEOPLE,
    )
    commands: tuple[app_commands.Command[Any, ..., Any], ...] = (
        imagine,
        compare,
        queue.queue,
        history.history,
        preferences,
        quota.quota,
        privacy.privacy,
        help.help,
    )
    for command in commands:
        anima.add_command(command)
    if can_describe:
        anima.add_command(describe)
    tree.add_command(anima)
    tree.add_command(admin)
    if has_operators:
        tree.add_command(operator)
    for menu in (context_menus.parameters, draw_again.draw_again, context_menus.cancel):
        menu.allowed_contexts, menu.allowed_installs = EVERYWHERE, SERVERS_AND_PEOPLE
        tree.add_command(menu)
    for menu in (moderation.moderate, moderation.report):
        menu.allowed_contexts, menu.allowed_installs = IN_SERVERS, BY_SERVERS
        tree.add_command(menu)
