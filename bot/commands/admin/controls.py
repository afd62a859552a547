"""The texts, buttons and selects of the admin panel's pages. What they do is in `actions`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import discord
from discord import ui

from bot.commands.admin.context import AdminContext
from bot.commands.panel import panel_button

#: Values that Discord's selects take.
MAX_CHOSEN = 25
#: Of the 4,000 characters that a message with components may have.
MAX_TEXT_LENGTH = 3000

Items = list[ui.Item[Any]]


def text(lines: Sequence[str]) -> ui.TextDisplay[Any]:
    return ui.TextDisplay("\n".join(lines)[:MAX_TEXT_LENGTH])


def row(*items: ui.Item[Any]) -> ui.ActionRow[Any]:
    return ui.ActionRow(*items)


button = partial(panel_button, "anima-admin")


def form_button(form: str, label: str) -> ui.Button[Any]:
    return button(f"form-{form}", label, discord.ButtonStyle.primary)


def select(
    action: str,
    options: list[discord.SelectOption],
    placeholder: str | None = None,
    *,
    min_values: int = 1,
    max_values: int = 1,
) -> ui.Select[Any]:
    custom_id = f"anima-admin:{action}"
    return ui.Select(
        custom_id=custom_id, options=options, placeholder=placeholder, min_values=min_values, max_values=max_values
    )


#: Channel types that people draw in, including the parents of threads.
DRAWN_IN = (
    discord.ChannelType.text,
    discord.ChannelType.news,
    discord.ChannelType.forum,
    discord.ChannelType.voice,
    discord.ChannelType.category,
)


def channel_select(
    action: str,
    placeholder: str,
    context: AdminContext,
    ids: Sequence[int],
    *,
    types: Sequence[discord.ChannelType] = DRAWN_IN,
    max_values: int = MAX_CHOSEN,
) -> ui.ChannelSelect[Any]:
    known = [id for id in ids if context.guild is None or context.guild.get_channel_or_thread(id) is not None]
    return ui.ChannelSelect(
        custom_id=f"anima-admin:{action}",
        channel_types=list(types),
        placeholder=placeholder,
        min_values=0,
        max_values=max_values,
        default_values=[
            discord.SelectDefaultValue(id=id, type=discord.SelectDefaultValueType.channel) for id in known[:MAX_CHOSEN]
        ],
    )


def role_select(action: str, placeholder: str, context: AdminContext, ids: Sequence[int]) -> ui.RoleSelect[Any]:
    known = [id for id in ids if context.guild is None or context.guild.get_role(id) is not None]
    return ui.RoleSelect(
        custom_id=f"anima-admin:{action}",
        placeholder=placeholder,
        min_values=0,
        max_values=MAX_CHOSEN,
        default_values=[
            discord.SelectDefaultValue(id=id, type=discord.SelectDefaultValueType.role) for id in known[:MAX_CHOSEN]
        ],
    )
