"""The panel: one message that turns to any of its pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import discord
from discord import ui

from bot.commands.admin import summaries
from bot.commands.admin.context import AdminContext, load_context
from bot.commands.admin.controls import (
    MAX_CHOSEN,
    Items,
    button,
    channel_select,
    form_button,
    role_select,
    row,
    select,
    text,
)
from bot.commands.admin.summaries import counted, inline_or_empty, relative_time
from bot.components.base import AnimaInteraction
from bot.messages.layout import StaticLayout
from bot.prompting import RECOMMENDED_NEGATIVE, RECOMMENDED_PREFIX
from bot.text.translation import N_, say

LOG_PAGE = 8
#: Of the 4,000 characters that a message with components may have.
MAX_NOTICE_LENGTH = 900


@dataclass(frozen=True)
class AdminPage:
    label: str
    about: str
    #: The second argument is where a page of several begins.
    build: Callable[[AdminContext, int | None], Awaitable[Items]]


async def show(interaction: AnimaInteraction, name: str, notice: str = "", begin: int | None = None) -> None:
    """Puts a page into the panel of an acknowledged interaction."""
    container: ui.Container[Any] = ui.Container()
    if notice:
        container.add_item(ui.TextDisplay(f"-# {notice[:MAX_NOTICE_LENGTH]}"))
    for item in await PAGES[name].build(await load_context(interaction), begin):
        container.add_item(item)
    options = [
        discord.SelectOption(
            label=say(PAGES[page].label), value=page, description=say(PAGES[page].about), default=page == name
        )
        for page in PAGES
    ]
    container.add_item(ui.Separator()).add_item(row(select("open", options)))
    await interaction.edit_original_response(view=StaticLayout(container))


async def _overview(context: AdminContext, begin: int | None) -> Items:
    settings = context.settings
    blocked = len(await context.database.servers.blocks(context.guild_id))
    words = len(settings.safety.blocked_words)
    people = counted(blocked, say("1 person"), say("{count} people", count=blocked))
    lines = [
        f"### {say('Anima in this server')}",
        say("**Drawing** is paused: new requests are refused.") if settings.paused else say("**Drawing** is on."),
        f"**{say('Defaults')}** {summaries.of_defaults(settings.defaults)}",
        f"**{say('Limits')}** {summaries.of_limits(settings.limits)}",
        f"**{say('Quota')}** {summaries.of_quota(settings.quota)}",
        f"**{say('Who and where')}** {summaries.of_access(settings.access)}",
        f"**{say('Safety')}** {summaries.of_safety(settings.safety)}",
        f"**{say('Blocked')}** {counted(words, say('1 word'), say('{count} words', count=words))}{say(', ')}{people}",
    ]
    if settings.paused:
        pause = button("resume", say("Resume drawing"), discord.ButtonStyle.success)
    else:
        pause = button("pause", say("Pause drawing"), discord.ButtonStyle.danger)
    return [text(lines), row(pause)]


async def _defaults(context: AdminContext, begin: int | None) -> Items:
    defaults = context.settings.defaults
    prefix = summaries.of_prefix(defaults.prefix_on, defaults.prefix, RECOMMENDED_PREFIX)
    negative = summaries.of_prefix(defaults.negative_on, defaults.negative, RECOMMENDED_NEGATIVE)
    lines = [
        f"### {say('Defaults')}",
        say("What is drawn where neither the person nor their own preferences say otherwise."),
        summaries.of_defaults(defaults),
        f"**{say('Prefix')}** {prefix}",
        f"**{say('Negative')}** {negative}",
    ]
    buttons = (
        form_button("drawing", say("Drawing")),
        form_button("style", say("Artists and LoRAs")),
        form_button("house-texts", say("Prefix and negative")),
        form_button("posting", say("Posting")),
    )
    return [text(lines), row(*buttons)]


async def _limits(context: AdminContext, begin: int | None) -> Items:
    lines = [
        f"### {say('Limits')}",
        say("The most that one request may ask for."),
        summaries.of_limits(context.settings.limits),
    ]
    return [text(lines), row(form_button("limits", say("Size and steps")), form_button("amounts", say("How many")))]


async def _quota(context: AdminContext, begin: int | None) -> Items:
    quota = context.settings.quota
    lines = [
        f"### {say('Quotas')}",
        say("In credits a day; a picture with the model's own settings costs 1. A person has the best of their roles."),
        summaries.of_quota(quota),
        *(f"<@&{role}> {credits:g}" for role, credits in list(quota.roles.items())[:50]),
        say("Roles without any limit:"),
    ]
    return [
        text(lines),
        row(role_select("unlimited", say("No role"), context, quota.unlimited_roles)),
        row(form_button("quota", say("Everyone")), form_button("role-quota", say("A role"))),
    ]


async def _access(context: AdminContext, begin: int | None) -> Items:
    access = context.settings.access
    channels = say("Channels in which may be drawn, threads included. None chosen: all.")
    return [
        text([f"### {say('Who and where')}", channels]),
        row(channel_select("channels", say("Every channel"), context, access.channels)),
        text([say("Roles that may draw. None chosen: everyone. Admins always may.")]),
        row(role_select("roles", say("Everyone"), context, access.roles)),
    ]


async def _safety(context: AdminContext, begin: int | None) -> Items:
    safety = context.settings.safety
    lines = [
        f"### {say('Safety')}",
        say("In age-restricted channels more than safe pictures may be drawn; in all others they are kept safe."),
        say("Sexual content about minors is refused everywhere. That cannot be switched off."),
    ]
    if safety.always_safe:
        follow = button("follow-channels", say("Follow the age restriction of channels"))
        return [text([*lines, say("**Now: safe in the whole server.**")]), row(follow)]
    nothing_chosen = say("None: each follows its age restriction")
    return [
        text([*lines, say("Channels to keep safe even if they are age-restricted:")]),
        row(channel_select("safe-channels", nothing_chosen, context, safety.safe_channels)),
        row(button("keep-safe", say("Keep the whole server safe"))),
    ]


async def _words(context: AdminContext, begin: int | None) -> Items:
    words = say(", ").join(context.settings.safety.blocked_words)
    lines = [
        f"### {say('Blocked words')}",
        say("Whole words and phrases, whatever their case and accents. Who asks for one is told so, privately."),
        f"||{inline_or_empty(words, 2500)}||" if words else say("None so far."),
    ]
    return [text(lines), row(form_button("words", say("Change")))]


async def _people(context: AdminContext, begin: int | None) -> Items:
    blocks = (await context.database.servers.blocks(context.guild_id))[-MAX_CHOSEN:][::-1]
    nobody = say("Nobody is blocked.")
    lines = [f"### {say('Blocked people')}", say("They cannot draw in this server.") if blocks else nobody]
    options = []
    for number, block in enumerate(blocks, start=1):
        blocked_at, reason = relative_time(block.blocked_at), inline_or_empty(block.reason, 80)
        lines.append(f"{number}. <@{block.user_id}> {blocked_at} {reason}".rstrip())
        options.append(discord.SelectOption(label=f"{number}. {block.user_id}", value=str(block.user_id)))
    items: Items = [text(lines), row(form_button("block", say("Block a person")))]
    if options:
        items.append(row(select("unblock", options, say("Unblock a person"))))
    return items


async def _log(context: AdminContext, begin: int | None) -> Items:
    entries = await context.database.servers.audit_log(context.guild_id, before=begin, limit=LOG_PAGE + 1)
    shown = entries[:LOG_PAGE]
    lines = [f"### {say('Log of changes')}", *(summaries.of_entry(entry) for entry in shown)]
    buttons = []
    if begin is not None:
        buttons.append(button("log", say("Newest")))
    if len(entries) > len(shown):
        buttons.append(button("log", say("Older"), argument=shown[-1].id))
    if not shown:
        lines.append(say("Nothing was changed so far."))
    return [text(lines), *([row(*buttons)] if buttons else [])]


async def _statistics(context: AdminContext, begin: int | None) -> Items:
    now = datetime.now(UTC)
    periods = (
        (say("24 hours"), timedelta(days=1)),
        (say("7 days"), timedelta(days=7)),
        (say("30 days"), timedelta(days=30)),
    )
    lines = [f"### {say('Statistics')}"]
    for name, period in periods:
        statistics = await context.database.jobs.statistics(now - period, context.guild_id)
        lines.append(f"**{name}** {summaries.of_statistics(statistics)}")
    return [text(lines)]


PAGES: Mapping[str, AdminPage] = {
    "overview": AdminPage(N_("Overview"), N_("Everything at a glance; pause and resume"), _overview),
    "defaults": AdminPage(N_("Defaults"), N_("Size, steps, sampler, artists, LoRAs, prefix, negative"), _defaults),
    "limits": AdminPage(N_("Limits"), N_("Largest size, steps, pictures, waiting jobs"), _limits),
    "quota": AdminPage(N_("Quotas"), N_("Credits a day, for everyone and by role"), _quota),
    "access": AdminPage(N_("Who and where"), N_("Channels and roles that may draw"), _access),
    "safety": AdminPage(N_("Safety"), N_("What channels are kept safe"), _safety),
    "words": AdminPage(N_("Blocked words"), N_("What must not be asked for here"), _words),
    "people": AdminPage(N_("Blocked people"), N_("Block and unblock"), _people),
    "log": AdminPage(N_("Log of changes"), N_("Who changed what, and when"), _log),
    "statistics": AdminPage(N_("Statistics"), N_("What was drawn lately"), _statistics),
}
