"""What the buttons and selects of the operator's panel do, by the name in their custom_id."""

from __future__ import annotations

from collections.abc import Mapping

from bot.commands.operator.access import is_operator
from bot.commands.operator.forms import FORMS, OperatorForm
from bot.commands.operator.pages import DRAFT, PAGES, show
from bot.commands.panel import PanelAction, PanelItem, panel_template
from bot.components.base import AnimaInteraction, defer_update, open_form
from bot.jobs.announcements import unfinished
from bot.rules.server_settings import load_server_settings
from bot.text.translation import N_, say, say_plural
from storage.servers import EVERYWHERE

OTHER_VERSION = N_("This panel is from a different version of the bot. Open a new one with `/anima-operator`.")
CHANGED_MEANWHILE = N_(
    "Something has changed in the meantime, so nothing was sent. Check the message and press Send again."
)


async def _open(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
    await defer_update(interaction)
    await show(interaction, chosen[0] if chosen and chosen[0] in PAGES else "overview")


async def _servers(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
    await defer_update(interaction)
    await show(interaction, "servers", begin=argument or 0)


async def _resume(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
    await defer_update(interaction)
    await interaction.client.database.servers.change(EVERYWHERE, {"operator_pause": None}, by=interaction.user.id)
    await show(interaction, "overview", say("Drawing is on again."))


async def _unblock(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
    await defer_update(interaction)
    user_id = int(chosen[0])
    lifted = await interaction.client.moderation.unblock(EVERYWHERE, user_id, by=interaction.user.id)
    notice = say("{person} can draw again.", person=f"<@{user_id}>") if lifted else say("Nothing was changed.")
    await show(interaction, "people", notice)


def _keeps_safe(always_safe: bool) -> PanelAction:
    async def act(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
        await defer_update(interaction)
        servers = interaction.client.database.servers
        now = (await load_server_settings(servers, None)).safety
        safety = {"always_safe": always_safe, "blocked_words": list(now.blocked_words)}
        await servers.change(EVERYWHERE, {"safety": safety}, by=interaction.user.id)
        await show(interaction, "private", say("Saved."))

    return act


async def _send(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
    """Sends the draft that was previewed, once: its version is in the button."""
    await defer_update(interaction)
    client = interaction.client
    draft = (await client.database.servers.settings(EVERYWHERE)).settings.get(DRAFT)
    number = argument or 0
    changes = {DRAFT: None, **({} if draft is None else unfinished(number, draft))}
    taken = await client.database.servers.change(EVERYWHERE, changes, by=interaction.user.id, seen=number)
    if draft is None or taken is None:
        await show(interaction, "announce", say(CHANGED_MEANWHILE))
        return
    count = await client.announcements.count()
    client.announcements.send(draft, number)
    said = say_plural("It is being sent to {count} server.", "It is being sent to {count} servers.", count)
    await show(interaction, "announce", said)


async def _discard(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
    await defer_update(interaction)
    await interaction.client.database.servers.change(EVERYWHERE, {DRAFT: None}, by=interaction.user.id)
    await show(interaction, "announce", say("Discarded."))


def _opens_form(form: str) -> PanelAction:
    async def act(interaction: AnimaInteraction, chosen: list[str], argument: int | None) -> None:
        await open_form(interaction, OperatorForm.at(interaction, form))

    return act


OPERATOR_ACTIONS: Mapping[str, PanelAction] = {
    "open": _open,
    "servers": _servers,
    "resume": _resume,
    "unblock": _unblock,
    "keep-safe": _keeps_safe(True),
    "follow-channels": _keeps_safe(False),
    "send": _send,
    "discard": _discard,
    **{f"form-{name}": _opens_form(name) for name in FORMS},
}


class OperatorItem(PanelItem, template=panel_template("anima-operator")):
    actions = OPERATOR_ACTIONS

    async def is_allowed(self, interaction: AnimaInteraction) -> bool:
        return await is_operator(interaction)

    def say_other_version(self) -> str:
        return say(OTHER_VERSION)
