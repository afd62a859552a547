"""Suggested settings for servers of different sizes: previewed, then applied or undone in one click."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import discord

from bot.commands.admin import summaries
from bot.commands.admin.context import CHANGED_NOTHING_SAVED, AdminContext, ChangedMeanwhile, load_context, save
from bot.commands.admin.controls import Items, button, row, text
from bot.components.base import AnimaInteraction
from bot.rules.policy import DEFAULT_MAX_STEPS
from bot.rules.server_settings import ServerSettings
from bot.text.formats import decimal
from bot.text.translation import N_, say


@dataclass(frozen=True)
class SuggestedSettings:
    """`credits`: per day and user; None: no limit. `advice`: about the log channel and the classifier."""

    label: str
    credits: float | None
    waiting: int
    times_native: float
    upscaled: float
    steps: int
    count: int
    compared: int
    advice: str

    def applied_to(self, settings: ServerSettings) -> ServerSettings:
        """Roles keep their own quotas. A limit in megapixels is replaced by a multiple of the model's size."""
        limits = replace(
            settings.limits,
            megapixels=None,
            times_native=self.times_native,
            upscaled_times_native=self.upscaled,
            steps=self.steps,
            count=self.count,
            waiting=self.waiting,
            compared=self.compared,
        )
        return replace(settings, limits=limits, quota=replace(settings.quota, credits=self.credits))


OPTIONAL = N_("A log channel and an image classifier are optional.")
RECOMMENDED = N_("A log channel for moderators is recommended, and an image classifier (the bot's operator sets it).")
ASKED_FOR = N_("Set a log channel for moderators, and ask the bot's operator to turn on an image classifier.")

SUGGESTIONS: Mapping[str, SuggestedSettings] = {
    "friends": SuggestedSettings(N_("Friends"), None, 20, 4.0, 16.0, 100, 4, 16, OPTIONAL),
    "community": SuggestedSettings(N_("Community"), 50.0, 8, 2.4, 5.2, 50, 4, 9, RECOMMENDED),
    "large": SuggestedSettings(N_("Large public server"), 20.0, 3, 1.5, 2.4, 40, 2, 4, ASKED_FOR),
}


async def choice(context: AdminContext, begin: int | None) -> Items:
    """The page for choosing a suggestion."""
    lines = [
        f"### {say('Suggested settings')}",
        say("Limits and quotas that suit a server's size. You see what changes before anything is saved."),
    ]
    return [text(lines), row(*(button(f"suggest-{name}", say(SUGGESTIONS[name].label)) for name in SUGGESTIONS))]


def preview(context: AdminContext, name: str) -> Items:
    """What a suggestion would change, row by row."""
    suggested = SUGGESTIONS[name]
    before, after = (_rows(settings) for settings in (context.settings, suggested.applied_to(context.settings)))
    changes = [f"- **{label}**: {before[label]} → {after[label]}" for label in before if before[label] != after[label]]
    lines = [
        f"### {say('Suggested settings')}: {say(SUGGESTIONS[name].label)}",
        *(changes or [say("Nothing would change.")]),
        f"-# {say(SUGGESTIONS[name].advice)}",
    ]
    others = [button("suggestions", say("Back"))]
    if context.settings.log_channel_id is None:
        others.append(button("open-log-channel", say("Log channel")))
    if not changes:
        return [text(lines), row(*others)]
    apply = button(f"apply-{name}", say("Apply"), discord.ButtonStyle.success, argument=context.version)
    return [text(lines), row(apply, *others)]


def undo_offer(version: int) -> Items:
    return [row(button("undo", say("Undo"), argument=version))]


async def apply(interaction: AnimaInteraction, name: str, version: int | None) -> tuple[str, int | None]:
    """What to say, and the version that can be undone; None if the settings were changed meanwhile."""
    context = await load_context(interaction)
    if context.version != version:
        return say(CHANGED_NOTHING_SAVED), None
    try:
        said = await save(interaction, context, SUGGESTIONS[name].applied_to(context.settings))
    except ChangedMeanwhile:
        return say(CHANGED_NOTHING_SAVED), None
    return said, version + 1


async def undo(interaction: AnimaInteraction, version: int | None) -> str:
    """Restore what the newest change replaced; its entries in the change log have the same time."""
    context = await load_context(interaction)
    entries = await context.database.servers.audit_log(context.guild_id)
    if context.version != version or not entries:
        return say(CHANGED_NOTHING_SAVED)
    changes = {entry.what: entry.before for entry in entries if entry.at == entries[0].at and entry.what in UNDONE}
    changed = await context.database.servers.change(
        context.guild_id, changes, by=interaction.user.id, seen=context.version
    )
    return say(CHANGED_NOTHING_SAVED) if changed is None else say("The previous settings are back.")


#: The groups of settings that a suggestion changes.
UNDONE = ("limits", "quota")


def _rows(settings: ServerSettings) -> dict[str, str]:
    """Each label with its value, both as they are shown."""
    limits, credits = settings.limits, settings.quota.credits
    if limits.megapixels is not None:
        area = say("up to {count} MP", count=decimal(limits.megapixels))
    else:
        area = say("{count} times the model's default size", count=decimal(limits.times_native))
    times = limits.upscaled_or_default
    upscaled = area if times is None else say("{count} times the model's default size", count=decimal(times))
    return {
        say(summaries.LABELS["credits"]): say("no limit") if credits is None else decimal(credits),
        say(summaries.LABELS["waiting"]): str(limits.waiting),
        say("Largest size"): area,
        say("Largest upscale"): upscaled,
        say(summaries.LABELS["steps"]): str(limits.steps or DEFAULT_MAX_STEPS),
        say("Pictures at once"): str(limits.count),
        say(summaries.LABELS["compared"]): str(limits.compared),
    }
