"""The operator's panel: one message with several pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import discord
from discord import ui

from bot.client import AnimaClient
from bot.commands.admin.controls import MAX_CHOSEN, text
from bot.commands.admin.summaries import inline_or_empty, of_everyone, of_statistics, relative_time
from bot.commands.panel import MAX_NOTICE_LENGTH, panel_button
from bot.components.base import AnimaInteraction
from bot.messages.buttons import edit_again_button
from bot.messages.job import no_credits
from bot.messages.layout import StaticLayout
from bot.rules.server_settings import ServerSettings, load_server_settings
from bot.text.markdown import blockquote
from bot.text.translation import N_, say, say_plural
from storage.quotas import ServerUsage
from storage.servers import EVERYWHERE

SERVERS_PER_PAGE = 10
MAX_SHOWN_WORDS = 2000
#: Where a draft of an announcement is kept in the operator's own document.
DRAFT = "announcement"

Items = list[ui.Item[Any]]

_button = partial(panel_button, "anima-operator")

NOT_IN_LIST = N_("not in ALLOWED_SERVERS")


async def show(
    interaction: AnimaInteraction, name: str, notice: str = "", begin: int = 0, draft_id: int | None = None
) -> None:
    """Puts a page into the panel of an acknowledged interaction.

    draft_id: of a form that could not be taken, and can be reopened.
    """
    container: ui.Container[Any] = ui.Container()
    if notice:
        container.add_item(ui.TextDisplay(f"-# {notice[:MAX_NOTICE_LENGTH]}"))
    if draft_id is not None:
        container.add_item(ui.ActionRow(edit_again_button(draft_id)))
    for item in await PAGES[name].build(interaction.client, begin):
        container.add_item(item)
    options = [discord.SelectOption(label=say(PAGES[page].label), value=page, default=page == name) for page in PAGES]
    menu: ui.Select[Any] = ui.Select(custom_id="anima-operator:open", options=options)
    container.add_item(ui.Separator()).add_item(ui.ActionRow(menu))
    await interaction.edit_original_response(view=StaticLayout(container))


async def _overview(client: AnimaClient, begin: int) -> Items:
    settings = await load_server_settings(client.database.servers, None)
    statistics = await client.database.jobs.statistics(datetime.now(UTC) - timedelta(days=1))
    blocked = len(await client.database.servers.blocks(EVERYWHERE))
    lines = [
        f"### {say('Anima everywhere')}",
        say("**Drawing** is on.")
        if settings.operator_pause is None
        else say("**Drawing** is paused everywhere: {reason}", reason=inline_or_empty(settings.operator_pause, 300)),
        say_plural("{count} server", "{count} servers", await client.server_lookup.count()),
        f"**{say('24 hours')}** {of_statistics(statistics)}",
        f"**{say('Blocked everywhere')}** {say_plural('{count} person', '{count} people', blocked)}",
    ]
    if settings.operator_pause is None:
        pause = _button("form-pause", say("Pause everything"), discord.ButtonStyle.danger)
    else:
        pause = _button("resume", say("Resume drawing"), discord.ButtonStyle.success)
    return [text(lines), ui.ActionRow(pause)]


async def _servers(client: AnimaClient, begin: int) -> Items:
    page = await client.server_lookup.page(begin, SERVERS_PER_PAGE)
    count = await client.server_lookup.count()
    now, ids = datetime.now(UTC), [guild.id for guild in page.servers]
    day = await client.database.quotas.usage_of_servers(ids, now - timedelta(days=1))
    month = await client.database.quotas.usage_of_servers(ids, now - timedelta(days=30))
    lines = [f"### {say('Servers')}", say_plural("{count} server", "{count} servers", count)]
    for guild in page.servers:
        name = f"**{inline_or_empty(guild.name, 60)}** `{guild.id}`"
        about = [say_plural("{count} member", "{count} members", _member_count(guild))]
        about += [] if client.answers_in(guild.id) else [say(NOT_IN_LIST)]
        usage = f"{_usage(say('24 hours'), day.get(guild.id))}{say(', ')}{_usage(say('30 days'), month.get(guild.id))}"
        lines.append(f"- {name} {say(', ').join(about)}\n  {usage}")
    buttons = []
    if page.before is not None:
        buttons.append(_button("servers", say("Back"), argument=page.before))
    if page.after is not None:
        buttons.append(_button("servers", say("More"), argument=page.after))
    return [text(lines), *([ui.ActionRow(*buttons)] if buttons else [])]


def _member_count(guild: discord.Guild) -> int:
    return guild.member_count or guild.approximate_member_count or 0


def _usage(period: str, usage: ServerUsage | None) -> str:
    jobs, credits = (usage.jobs, usage.credits) if usage is not None else (0, 0.0)
    said = [say_plural("{count} job", "{count} jobs", jobs), say_plural("{count} credit", "{count} credits", credits)]
    return f"{period}: {say(', ').join(said)}"


async def _people(client: AnimaClient, begin: int) -> Items:
    blocks = (await client.database.servers.blocks(EVERYWHERE))[-MAX_CHOSEN:][::-1]
    nobody = say("Nobody is blocked.")
    lines = [
        f"### {say('Blocked everywhere')}",
        say("These people can't draw anywhere, not in private messages either.") if blocks else nobody,
    ]
    options = []
    for number, block in enumerate(blocks, start=1):
        blocked_at, reason = relative_time(block.blocked_at), inline_or_empty(block.reason, 80)
        lines.append(f"{number}. <@{block.user_id}> `{block.user_id}` {blocked_at} {reason}".rstrip())
        options.append(discord.SelectOption(label=f"{number}. {block.user_id}", value=str(block.user_id)))
    items: Items = [text(lines), ui.ActionRow(_button("form-block", say("Block a person")))]
    if options:
        menu: ui.Select[Any] = ui.Select(
            custom_id="anima-operator:unblock", options=options, placeholder=say("Unblock a person")
        )
        items.append(ui.ActionRow(menu))
    return items


async def _private(client: AnimaClient, begin: int) -> Items:
    settings = await load_server_settings(client.database.servers, None)
    words = say(", ").join(settings.safety.blocked_words)
    lines = [
        f"### {say('Private messages')}",
        say("These rules apply in private messages, and in servers where only the person installed the bot."),
        _credits(settings),
        say("Only safe pictures.")
        if settings.safety.always_safe
        else say("Age-restricted channels of other servers allow NSFW pictures; private messages never do."),
        f"**{say('Blocked words')}** "
        + (f"||{inline_or_empty(words, MAX_SHOWN_WORDS)}||" if words else say("None yet.")),
    ]
    if settings.safety.always_safe:
        switch = _button("follow-channels", say("Follow age restrictions"))
    else:
        switch = _button("keep-safe", say("Safe pictures everywhere"))
    return [text(lines), ui.ActionRow(_button("form-words", say("Blocked words")), switch)]


def _credits(settings: ServerSettings) -> str:
    credits = settings.quota.credits
    return no_credits(in_server=False) if credits == 0 else of_everyone(credits)


async def _announce(client: AnimaClient, begin: int) -> Items:
    stored = await client.database.servers.settings(EVERYWHERE)
    draft = stored.settings.get(DRAFT)
    lines = [
        f"### {say('Announce')}",
        say("A message to every server: in its log channel or, if it has none, in its system messages channel."),
    ]
    if draft is None:
        return [text(lines), ui.ActionRow(_button("form-announce", say("Write a message")))]
    count = say_plural("It goes to {count} server.", "It goes to {count} servers.", await client.announcements.count())
    buttons = (
        _button("send", say("Send"), discord.ButtonStyle.danger, argument=stored.version),
        _button("form-announce", say("Change")),
        _button("discard", say("Discard")),
    )
    return [text([*lines, count, blockquote(draft, 2000)]), ui.ActionRow(*buttons)]


@dataclass(frozen=True)
class OperatorPage:
    """`build` makes the page from the offset of its first entry."""

    label: str
    build: Callable[[AnimaClient, int], Awaitable[Sequence[ui.Item[Any]]]]


PAGES: Mapping[str, OperatorPage] = {
    "overview": OperatorPage(N_("Overview"), _overview),
    "servers": OperatorPage(N_("Servers"), _servers),
    "people": OperatorPage(N_("Blocked everywhere"), _people),
    "private": OperatorPage(N_("Private messages"), _private),
    "announce": OperatorPage(N_("Announce"), _announce),
}
