"""What the panel's buttons and selects do, each by the name that its custom_id has."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Self

from discord import ui

from bot.commands.admin import suggestions
from bot.commands.admin.context import UNCHANGED, ChangedMeanwhile, is_admin, load_context, save
from bot.commands.admin.forms import FORMS, AdminForm
from bot.commands.admin.log_channel import set_log_channel
from bot.commands.admin.pages import PAGES, put, show
from bot.components.base import AnimaInteraction, Component
from bot.messages.replies import reply_privately
from bot.rules.server_settings import ServerSettings
from bot.text.translation import N_, say

OTHER_VERSION = N_("This panel is from a different version of the bot. Open a new one with `/anima-admin`.")

#: Gets what was chosen in a select, and the number at the end of the custom_id.
Action = Callable[[AnimaInteraction, list[str], int | None], Awaitable[None]]


async def _open(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
    await interaction.response.defer()
    await show(interaction, chosen[0] if chosen and chosen[0] in PAGES else "overview")


async def _open_log(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
    await interaction.response.defer()
    await show(interaction, "log", begin=argument)


def _asks(form: str) -> Action:
    """An action that opens a form."""

    async def act(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
        await interaction.response.send_modal(AdminForm.at(await load_context(interaction), form))

    return act


def _sets(page: str, new: Callable[[ServerSettings, tuple[int, ...]], ServerSettings]) -> Action:
    """An action that changes the settings by the ids that were chosen."""

    async def act(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
        await interaction.response.defer()
        notice = ""
        while not notice:
            context = await load_context(interaction)
            with suppress(ChangedMeanwhile):
                notice = await save(interaction, context, new(context.settings, tuple(map(int, chosen))))
        await show(interaction, page, notice)

    return act


async def _choose_log_channel(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
    await interaction.response.defer()
    await show(interaction, "log-channel", await set_log_channel(interaction, chosen))


async def _unblock(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
    await interaction.response.defer()
    context = await load_context(interaction)
    user_id = int(chosen[0])
    lifted = await interaction.client.moderation.unblock(context.guild_id, user_id, by=interaction.user.id)
    notice = say("{person} can draw again.", person=f"<@{user_id}>") if lifted else say(UNCHANGED)
    await show(interaction, "people", notice)


def _suggests(name: str) -> Action:
    """An action that shows what a suggestion would change."""

    async def act(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
        await interaction.response.defer()
        await put(interaction, "suggested", suggestions.preview(await load_context(interaction), name))

    return act


def _applies(name: str) -> Action:
    async def act(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
        await interaction.response.defer()
        notice, undoable = await suggestions.apply(interaction, name, argument)
        items = await suggestions.choice(await load_context(interaction), None)
        undo = suggestions.undo_offer(undoable) if undoable is not None else []
        await put(interaction, "suggested", [*items, *undo], notice)

    return act


async def _undo(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
    await interaction.response.defer()
    await show(interaction, "suggested", await suggestions.undo(interaction, argument))


async def _open_suggestions(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
    await interaction.response.defer()
    await show(interaction, "suggested")


ACTIONS: Mapping[str, Action] = {
    "open": _open,
    "log": _open_log,
    "log-channel": _choose_log_channel,
    "unblock": _unblock,
    "pause": _sets("overview", lambda settings, _: replace(settings, paused=True)),
    "resume": _sets("overview", lambda settings, _: replace(settings, paused=False)),
    "channels": _sets("access", lambda settings, ids: replace(settings, access=replace(settings.access, channels=ids))),
    "roles": _sets("access", lambda settings, ids: replace(settings, access=replace(settings.access, roles=ids))),
    "unlimited": _sets(
        "quota", lambda settings, ids: replace(settings, quota=replace(settings.quota, unlimited_roles=ids))
    ),
    "safe-channels": _sets(
        "safety", lambda settings, ids: replace(settings, safety=replace(settings.safety, safe_channels=ids))
    ),
    "keep-safe": _sets(
        "safety", lambda settings, _: replace(settings, safety=replace(settings.safety, always_safe=True))
    ),
    "follow-channels": _sets(
        "safety", lambda settings, _: replace(settings, safety=replace(settings.safety, always_safe=False))
    ),
    "suggestions": _open_suggestions,
    "undo": _undo,
    **{f"suggest-{name}": _suggests(name) for name in suggestions.SUGGESTIONS},
    **{f"apply-{name}": _applies(name) for name in suggestions.SUGGESTIONS},
    **{f"form-{name}": _asks(name) for name in FORMS},
}


class AdminItem(Component, template=r"anima-admin:(?P<action>[a-z-]+)(?::(?P<argument>[0-9]{1,19}))?"):
    """Any button or select of the panel."""

    open_to_blocked = True

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
        act = ACTIONS.get(self.action)
        if act is None:
            await reply_privately(interaction, say(OTHER_VERSION))
            return
        data: Any = interaction.data
        await act(interaction, data.get("values", []), self.argument)
