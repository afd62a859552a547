"""What the admins' and the operators' panels share: their buttons with their handler, and lists that are typed."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, Self, TypeAlias

import discord
from discord import ui

from bot.components.base import ABSTRACT, AnimaInteraction, Component
from bot.messages.replies import reply_privately
from bot.prompting.syntax import COMMAS

#: Of what was done, above a page: of the 4,000 characters that a message with components may have.
MAX_NOTICE_LENGTH = 900
#: Gets what was chosen in a select, and the number at the end of the custom_id, if it has one.
PanelAction: TypeAlias = Callable[[AnimaInteraction, list[str], "int | None"], Awaitable[None]]


def panel_template(panel: str) -> str:
    """Matches the custom_ids of a panel's buttons and selects."""
    return rf"{panel}:(?P<action>[a-z-]+)(?::(?P<argument>[0-9]{{1,19}}))?"


def panel_button(
    panel: str,
    action: str,
    label: str,
    style: discord.ButtonStyle = discord.ButtonStyle.secondary,
    argument: int | None = None,
) -> ui.Button[Any]:
    custom_id = f"{panel}:{action}" if argument is None else f"{panel}:{action}:{argument}"
    return ui.Button(label=label, style=style, custom_id=custom_id)


def list_entries(typed: str) -> list[str]:
    """What was typed between commas and ends of lines."""
    return [entry.strip() for entry in re.split(f"[{COMMAS}]", typed) if entry.strip()]


class PanelItem(Component, template=ABSTRACT):
    """Any button or select of a panel. Subclasses give its actions by name, and say who may use it."""

    open_to_blocked = True
    actions: ClassVar[Mapping[str, PanelAction]]

    def __init__(self, item: ui.Item[Any], action: str, argument: int | None = None) -> None:
        super().__init__(item)
        self.action = action
        self.argument = argument

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: ui.Item[Any], match: re.Match[str], /) -> Self:
        return cls(item, match["action"], int(match["argument"]) if match["argument"] else None)

    async def is_allowed(self, interaction: AnimaInteraction) -> bool:
        """Whether the user may use the panel; if not, they are notified."""
        raise NotImplementedError

    def say_other_version(self) -> str:
        """The answer to a button of another version of the bot."""
        raise NotImplementedError

    async def on_use(self, interaction: AnimaInteraction) -> None:
        if not await self.is_allowed(interaction):
            return
        act = self.actions.get(self.action)
        if act is None:
            await reply_privately(interaction, self.say_other_version())
            return
        data: Any = interaction.data
        await act(interaction, data.get("values", []), self.argument)
