"""`/anima quota`: what you used in the last 24 hours, what is left, and when you get some back."""

from __future__ import annotations

from discord import app_commands

from bot.commands.tree import OPEN_TO_BLOCKED
from bot.components.base import AnimaInteraction, defer_privately
from bot.messages.job import no_credits
from bot.rules.server_settings import settings_guild_id
from bot.text.discord_clock import time_mention
from bot.text.formats import decimal
from bot.text.translation import N_, say, say_plural
from storage.jobs import Allowance
from storage.quotas import WINDOW, Account, Usage

BAR_CELLS = 20
#: Credits; see `JobSpec.cost`.
DEFAULT_PICTURE = 1.0

USED_IN_SERVER = N_("You have used **{credits}** in this server in the last 24 hours.")
USED_OUTSIDE = N_("You have used **{credits}** in private messages in the last 24 hours.")
ABOUT_CREDITS = N_(
    "A picture with default settings costs 1 credit. Larger sizes, more steps and more pictures cost "
    "more. Failed and cancelled jobs cost nothing."
)


@app_commands.command(description="See the credits you have used and have left", extras=OPEN_TO_BLOCKED)
async def quota(interaction: AnimaInteraction) -> None:
    await defer_privately(interaction)
    guild_id = settings_guild_id(interaction)
    usage = await interaction.client.database.quotas.usage(Account(interaction.user.id, guild_id))
    allowance = await interaction.client.allowance(interaction)
    await interaction.edit_original_response(content=described(usage, allowance, in_server=guild_id is not None))


def described(usage: Usage, allowance: Allowance, *, in_server: bool) -> str:
    if allowance.credits == 0 and not in_server:
        return no_credits(in_server=in_server)
    lines = [say(USED_IN_SERVER if in_server else USED_OUTSIDE, credits=_credits(usage.spent))]
    lines += _no_limit() if allowance.credits is None else _what_is_left(usage, allowance.credits)
    if usage.charges and allowance.credits is not None:
        oldest = usage.charges[0]
        lapses = time_mention(oldest.at + WINDOW, "R")
        lines.append(say("You get {credits} back {when}.", credits=_credits(oldest.credits), when=lapses))
    if allowance.waiting is not None:
        lines.append(
            say_plural(
                "You can have up to {limit} job in the queue at a time.",
                "You can have up to {limit} jobs in the queue at a time.",
                allowance.waiting,
                limit=allowance.waiting,
            )
        )
    return "\n".join([*lines, f"-# {say(ABOUT_CREDITS)}"])


def _no_limit() -> list[str]:
    return [say("You have no limit here.")]


def _what_is_left(usage: Usage, limit: float) -> list[str]:
    left = max(0.0, limit - usage.spent)
    used_cells = BAR_CELLS if usage.spent >= limit else round(BAR_CELLS * usage.spent / limit)
    bar = "▰" * used_cells + "▱" * (BAR_CELLS - used_cells)
    lines = [f"{bar} {say('{credits} of {limit} left', credits=_credits(left), limit=decimal(limit))}"]
    if not usage.has_room(DEFAULT_PICTURE, limit):
        lines.append(_room(usage, limit))
    return lines


def _room(usage: Usage, limit: float) -> str:
    room_at = usage.room_at(DEFAULT_PICTURE, limit)
    if room_at is None:
        return say("A picture with default settings costs more than your limit. Try a smaller size or fewer steps.")
    return say("You can draw a picture with default settings {when}.", when=time_mention(room_at, "R"))


def _credits(credits: float) -> str:
    return say_plural("{count} credit", "{count} credits", credits)
