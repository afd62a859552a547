"""What a page of the panel is put together from: texts, buttons and selects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Self

import discord
from discord import ui

from bot.commands.admin import actions  # needs the pages, which are made of controls: looked into when one is used
from bot.commands.admin.context import AdminContext, is_admin
from bot.components.base import AnimaInteraction, Component, reply_privately
from bot.text.translation import say

MAX_CHOSEN = 25
"""Values that Discord's selects take."""
MAX_TEXT_LENGTH = 3000
"""Of the 4,000 characters that a message with components may have."""

OTHER_VERSION = "This panel is from another version of the bot. Open a new one with `/anima-admin`."

Items = list[ui.Item[Any]]


class AdminItem(Component, template=r"anima-admin:(?P<action>[a-z-]+)(?::(?P<argument>[0-9]{1,19}))?"):
    """Any button or select of the panel."""

    def __init__(self, item: ui.Item[Any], action: str, argument: int | None = None) -> None:
        super().__init__(item)
        self.action = action
        self.argument = argument

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: ui.Item[Any], match: re.Match[str], /) -> Self:
        return cls(item, match["action"], int(match["argument"]) if match["argument"] else None)

    async def on_use(self, interaction: AnimaInteraction) -> None:
        if not await is_admin(interaction):
            return
        act = actions.ACTIONS.get(self.action)
        if act is None:
            await reply_privately(interaction, say(OTHER_VERSION))
            return
        data: Any = interaction.data
        await act(interaction, data.get("values", []), self.argument)


def text(lines: Sequence[str]) -> ui.TextDisplay[Any]:
    return ui.TextDisplay("\n".join(lines)[:MAX_TEXT_LENGTH])


def row(*items: ui.Item[Any]) -> ui.ActionRow[Any]:
    return ui.ActionRow(*items)


def button(
    action: str,
    label: str,
    style: discord.ButtonStyle = discord.ButtonStyle.secondary,
    argument: int | None = None,
) -> AdminItem:
    custom_id = f"anima-admin:{action}" if argument is None else f"anima-admin:{action}:{argument}"
    return AdminItem(ui.Button(label=label, style=style, custom_id=custom_id), action, argument)


def form_button(form: str, label: str) -> AdminItem:
    return button(f"form-{form}", label, discord.ButtonStyle.primary)


def select(action: str, options: list[discord.SelectOption], placeholder: str | None = None) -> AdminItem:
    return AdminItem(ui.Select(custom_id=f"anima-admin:{action}", options=options, placeholder=placeholder), action)


def channel_select(action: str, placeholder: str, desk: AdminContext, ids: Sequence[int]) -> AdminItem:
    known = [id for id in ids if desk.guild is None or desk.guild.get_channel_or_thread(id) is not None]
    channels = ui.ChannelSelect[Any](
        custom_id=f"anima-admin:{action}",
        channel_types=[
            discord.ChannelType.text,
            discord.ChannelType.news,
            discord.ChannelType.forum,
            discord.ChannelType.voice,
            discord.ChannelType.category,
        ],
        placeholder=placeholder,
        min_values=0,
        max_values=MAX_CHOSEN,
        default_values=[
            discord.SelectDefaultValue(id=id, type=discord.SelectDefaultValueType.channel) for id in known[:MAX_CHOSEN]
        ],
    )
    return AdminItem(channels, action)


def role_select(action: str, placeholder: str, desk: AdminContext, ids: Sequence[int]) -> AdminItem:
    known = [id for id in ids if desk.guild is None or desk.guild.get_role(id) is not None]
    roles = ui.RoleSelect[Any](
        custom_id=f"anima-admin:{action}",
        placeholder=placeholder,
        min_values=0,
        max_values=MAX_CHOSEN,
        default_values=[
            discord.SelectDefaultValue(id=id, type=discord.SelectDefaultValueType.role) for id in known[:MAX_CHOSEN]
        ],
    )
    return AdminItem(roles, action)
