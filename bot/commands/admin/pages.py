"""The pages of the admin panel, all shown in one message."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import discord
from discord import ui

from bot.commands.admin import suggestions, summaries
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
from bot.commands.admin.gallery import gallery_page
from bot.commands.admin.log_channel import log_channel_page
from bot.commands.admin.models import models_page
from bot.commands.admin.summaries import inline_or_empty, relative_time
from bot.commands.panel import MAX_NOTICE_LENGTH
from bot.components.base import AnimaInteraction
from bot.messages.buttons import edit_again_button
from bot.messages.layout import StaticLayout
from bot.text.translation import N_, say, say_plural

LOG_PAGE = 8


@dataclass(frozen=True)
class AdminPage:
    label: str
    about: str
    #: The second argument is where a page of several begins.
    build: Callable[[AdminContext, int | None], Awaitable[Items]]


async def show(
    interaction: AnimaInteraction, name: str, notice: str = "", begin: int | None = None, draft_id: int | None = None
) -> None:
    """Puts a page into the panel of an acknowledged interaction.

    draft_id: of a refused form that can be reopened.
    """
    edit_again: Items = [] if draft_id is None else [row(edit_again_button(draft_id))]
    items = await PAGES[name].build(await load_context(interaction), begin)
    await put(interaction, name, [*edit_again, *items], notice)


async def put(interaction: AnimaInteraction, name: str, items: Items, notice: str = "") -> None:
    """Puts these items into the panel, as the content of a page."""
    container: ui.Container[Any] = ui.Container()
    if notice:
        container.add_item(ui.TextDisplay(f"-# {notice[:MAX_NOTICE_LENGTH]}"))
    for item in items:
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
    people = say_plural("{count} person", "{count} people", blocked)
    lines = [
        f"### {say('Anima in this server')}",
        say("**Drawing** is paused: new requests are refused.") if settings.paused else say("**Drawing** is on."),
        f"**{say('Defaults')}** {summaries.of_defaults(settings.defaults)}",
        f"**{say('Limits')}** {summaries.of_limits(settings.limits)}",
        f"**{say('Quota')}** {summaries.of_quota(settings.quota)}",
        f"**{say('Access')}** {summaries.of_access(settings.access)}",
        f"**{say('Safety')}** {summaries.of_safety(settings.safety)}",
        f"**{say('Blocked')}** {say_plural('{count} word', '{count} words', words)}{say(', ')}{people}",
        f"**{say('Gallery')}** {f'<#{settings.gallery_channel_id}>' if settings.gallery_channel_id else say('none')}",
        f"**{say('Log channel')}** {f'<#{settings.log_channel_id}>' if settings.log_channel_id else say('none')}",
    ]
    if settings.paused:
        pause = button("resume", say("Resume drawing"), discord.ButtonStyle.success)
    else:
        pause = button("pause", say("Pause drawing"), discord.ButtonStyle.danger)
    return [text(lines), row(pause)]


async def _defaults(context: AdminContext, begin: int | None) -> Items:
    defaults = context.settings.defaults
    prefix = summaries.of_prefix(defaults.prefix_on, defaults.prefix)
    negative = summaries.of_prefix(defaults.negative_on, defaults.negative)
    lines = [
        f"### {say('Defaults')}",
        say("Used when neither the command nor the person's own preferences say otherwise."),
        summaries.of_defaults(defaults),
        f"**{say('Prefix')}** {prefix}",
        f"**{say('Negative prompt')}** {negative}",
        *([] if defaults.nag else [say("Negative prompts have no effect at CFG 1 (turbo).")]),
    ]
    buttons = (
        form_button("drawing", say("Size, steps, sampler")),
        form_button("style", say("Artists and LoRAs")),
        form_button("house-texts", say("Prefix and negative")),
        form_button("posting", say("Posting")),
    )
    return [text(lines), row(*buttons)]


async def _limits(context: AdminContext, begin: int | None) -> Items:
    lines = [
        f"### {say('Limits')}",
        say("The most that one request can ask for."),
        summaries.of_limits(context.settings.limits),
    ]
    return [
        text(lines),
        row(form_button("limits", say("Size and steps")), form_button("amounts", say("Pictures and queue"))),
    ]


async def _quota(context: AdminContext, begin: int | None) -> Items:
    quota = context.settings.quota
    lines = [
        f"### {say('Quotas')}",
        say(
            "In credits per day. A picture with the model's default settings costs 1. Members get the "
            "highest quota of their roles."
        ),
        summaries.of_quota(quota),
        *(f"<@&{role}> {credits:g}" for role, credits in list(quota.roles.items())[:50]),
        say("Roles with no limit:"),
    ]
    return [
        text(lines),
        row(role_select("unlimited", say("No roles selected"), context, quota.unlimited_roles)),
        row(form_button("quota", say("Everyone")), form_button("role-quota", say("Per role"))),
    ]


async def _access(context: AdminContext, begin: int | None) -> Items:
    access = context.settings.access
    channels = say("Channels where people may draw (threads included). None selected: all.")
    return [
        text([f"### {say('Access')}", channels]),
        row(channel_select("channels", say("All channels"), context, access.channels)),
        text([say("Roles that may draw. None selected: everyone. Admins always may.")]),
        row(role_select("roles", say("Everyone"), context, access.roles)),
    ]


async def _safety(context: AdminContext, begin: int | None) -> Items:
    safety = context.settings.safety
    lines = [
        f"### {say('Safety')}",
        say("Age-restricted channels allow NSFW pictures. All other channels only allow safe pictures."),
        say("Sexual content involving minors is always refused. You can't switch that off."),
    ]
    if safety.always_safe:
        follow = button("follow-channels", say("Follow age restrictions"))
        return [text([*lines, say("**The whole server only allows safe pictures.**")]), row(follow)]
    nothing_chosen = say("None: each channel follows its age restriction")
    return [
        text([*lines, say("Age-restricted channels that should still only allow safe pictures:")]),
        row(channel_select("safe-channels", nothing_chosen, context, safety.safe_channels)),
        row(button("keep-safe", say("Safe pictures everywhere"))),
    ]


async def _words(context: AdminContext, begin: int | None) -> Items:
    words = say(", ").join(context.settings.safety.blocked_words)
    lines = [
        f"### {say('Blocked words')}",
        say("Whole words and phrases. Case and accents don't matter. Anyone who uses one is notified privately."),
        f"||{inline_or_empty(words, 2500)}||" if words else say("None yet."),
    ]
    return [text(lines), row(form_button("words", say("Change")))]


async def _people(context: AdminContext, begin: int | None) -> Items:
    blocks = (await context.database.servers.blocks(context.guild_id))[-MAX_CHOSEN:][::-1]
    nobody = say("Nobody is blocked.")
    lines = [f"### {say('Blocked people')}", say("These people can't draw in this server.") if blocks else nobody]
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
    lines = [f"### {say('Change log')}", *(summaries.of_entry(entry) for entry in shown)]
    buttons = []
    if begin is not None:
        buttons.append(button("log", say("Newest")))
    if len(entries) > len(shown):
        buttons.append(button("log", say("Older"), argument=shown[-1].id))
    if not shown:
        lines.append(say("No changes yet."))
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
    "models": AdminPage(N_("Models"), N_("The default model, and which models members can use"), models_page),
    "limits": AdminPage(N_("Limits"), N_("Largest size, most steps, pictures and queued jobs"), _limits),
    "quota": AdminPage(N_("Quotas"), N_("Credits per day, for everyone and by role"), _quota),
    "suggested": AdminPage(
        N_("Suggested settings"), N_("For friends, a community, a large public server"), suggestions.choice
    ),
    "access": AdminPage(N_("Access"), N_("Channels and roles that can draw"), _access),
    "safety": AdminPage(N_("Safety"), N_("Which channels only allow safe pictures"), _safety),
    "words": AdminPage(N_("Blocked words"), N_("Words that can't be used in prompts here"), _words),
    "people": AdminPage(N_("Blocked people"), N_("Block and unblock"), _people),
    "gallery": AdminPage(N_("Gallery"), N_("Where members share chosen pictures"), gallery_page),
    "log-channel": AdminPage(N_("Log channel"), N_("Where refusals, reports and blocks are posted"), log_channel_page),
    "log": AdminPage(N_("Change log"), N_("Who changed what, and when"), _log),
    "statistics": AdminPage(N_("Statistics"), N_("Recent activity"), _statistics),
}
