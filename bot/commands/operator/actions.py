"""What the buttons and selects of the operator's panel do, by the name in their custom_id."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self

from discord import ui

from bot.commands.operator.access import is_operator
from bot.commands.operator.forms import FORMS, OperatorForm
from bot.commands.operator.pages import DRAFT, PAGES, show
from bot.components.base import AnimaInteraction, Component
from bot.messages.replies import reply_privately
from bot.rules.server_settings import load_server_settings
from bot.text.translation import N_, say, say_plural
from storage.servers import EVERYWHERE

OTHER_VERSION = N_("This panel is from a different version of the bot. Open a new one with `/anima-operator`.")
CHANGED_MEANWHILE = N_("Something was changed meanwhile, so nothing was sent. Check the message and press Send again.")

#: Gets what was chosen in a select, and the number at the end of the custom_id.
OperatorAction = Callable[[AnimaInteraction, list[str], int], Awaitable[None]]


async def _open(interaction: AnimaInteraction, chosen: list[str], argument: int) -> None:
    await interaction.response.defer()
    await show(interaction, chosen[0] if chosen and chosen[0] in PAGES else "overview")


async def _servers(interaction: AnimaInteraction, chosen: list[str], argument: int) -> None:
    await interaction.response.defer()
    await show(interaction, "servers", begin=argument)


async def _resume(interaction: AnimaInteraction, chosen: list[str], argument: int) -> None:
    await interaction.response.defer()
    await interaction.client.database.servers.change(EVERYWHERE, {"operator_pause": None}, by=interaction.user.id)
    await show(interaction, "overview", say("Drawing is on again."))


async def _unblock(interaction: AnimaInteraction, chosen: list[str], argument: int) -> None:
    await interaction.response.defer()
    user_id = int(chosen[0])
    lifted = await interaction.client.moderation.unblock(EVERYWHERE, user_id, by=interaction.user.id)
    notice = say("{person} can draw again.", person=f"<@{user_id}>") if lifted else say("Nothing was changed.")
    await show(interaction, "people", notice)


def _keeps_safe(always_safe: bool) -> OperatorAction:
    async def act(interaction: AnimaInteraction, chosen: list[str], argument: int) -> None:
        await interaction.response.defer()
        servers = interaction.client.database.servers
        now = (await load_server_settings(servers, None)).safety
        safety = {"always_safe": always_safe, "blocked_words": list(now.blocked_words)}
        await servers.change(EVERYWHERE, {"safety": safety}, by=interaction.user.id)
        await show(interaction, "private", say("Saved."))

    return act


async def _send(interaction: AnimaInteraction, chosen: list[str], argument: int) -> None:
    """Sends the draft that was previewed, once: its version is in the button."""
    await interaction.response.defer()
    client = interaction.client
    draft = (await client.database.servers.settings(EVERYWHERE)).settings.get(DRAFT)
    taken = await client.database.servers.change(EVERYWHERE, {DRAFT: None}, by=interaction.user.id, seen=argument)
    if draft is None or taken is None:
        await show(interaction, "announce", say(CHANGED_MEANWHILE))
        return
    count = client.announcements.send(draft)
    said = say_plural("It is being sent to {count} server.", "It is being sent to {count} servers.", count)
    await show(interaction, "announce", said)


async def _discard(interaction: AnimaInteraction, chosen: list[str], argument: int) -> None:
    await interaction.response.defer()
    await interaction.client.database.servers.change(EVERYWHERE, {DRAFT: None}, by=interaction.user.id)
    await show(interaction, "announce", say("Discarded."))


def _asks(form: str) -> OperatorAction:
    async def act(interaction: AnimaInteraction, chosen: list[str], argument: int) -> None:
        await interaction.response.send_modal(await OperatorForm.at(interaction, form))

    return act


OPERATOR_ACTIONS: Mapping[str, OperatorAction] = {
    "open": _open,
    "servers": _servers,
    "resume": _resume,
    "unblock": _unblock,
    "keep-safe": _keeps_safe(True),
    "follow-channels": _keeps_safe(False),
    "send": _send,
    "discard": _discard,
    **{f"form-{name}": _asks(name) for name in FORMS},
}


class OperatorItem(Component, template=r"anima-operator:(?P<action>[a-z-]+)(?::(?P<argument>[0-9]{1,19}))?"):
    """Any button or select of the panel."""

    open_to_blocked = True

    def __init__(self, item: ui.Item[Any], action: str, argument: int = 0) -> None:
        super().__init__(item)
        self.action = action
        self.argument = argument

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: ui.Item[Any], match: re.Match[str], /) -> Self:
        return cls(item, match["action"], int(match["argument"] or 0))

    async def on_use(self, interaction: AnimaInteraction) -> None:
        if not await is_operator(interaction):
            return
        act = OPERATOR_ACTIONS.get(self.action)
        if act is None:
            await reply_privately(interaction, say(OTHER_VERSION))
            return
        data: Any = interaction.data
        await act(interaction, data.get("values", []), self.argument)
