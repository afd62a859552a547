"""The slash commands, a file for each family; they parse options and hand them on, no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discord import app_commands

from bot.commands.imagine import imagine

if TYPE_CHECKING:
    from bot.client import AnimaClient


def register(tree: app_commands.CommandTree[AnimaClient]) -> None:
    anima = app_commands.Group(name="anima", description="Draw with Anima")
    anima.add_command(imagine)
    tree.add_command(anima)
