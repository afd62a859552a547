"""`/anima quota`: what you used in the last 24 hours, what is left, and when there is room again."""

from __future__ import annotations

import discord
from discord import app_commands

from bot.commands.tree import OPEN_TO_BLOCKED
from bot.components.base import AnimaInteraction
from bot.text.translation import N_, say
from storage.jobs import Allowance
from storage.quotas import WINDOW, Account, Usage

BAR_CELLS = 20
#: Credits; see `JobSpec.cost`.
DEFAULT_PICTURE = 1.0

USED_IN_SERVER = N_("In the last 24 hours you have used **{credits}** in this server.")
USED_OUTSIDE = N_("In the last 24 hours you have used **{credits}** outside of servers.")
WHAT_A_CREDIT_IS = N_(
    "A picture with the default settings costs 1 credit. Larger ones, more steps and more pictures cost more; "
    "what fails or is cancelled costs nothing."
)


@app_commands.command(description="What you have used of your credits, and what is left", extras=OPEN_TO_BLOCKED)
async def quota(interaction: AnimaInteraction) -> None:
    await interaction.response.defer(ephemeral=True)
    usage = await interaction.client.database.quotas.usage(Account(interaction.user.id, interaction.guild_id))
    allowance = await interaction.client.allowance(interaction)
    await interaction.edit_original_response(content=described(usage, allowance, in_server=bool(interaction.guild_id)))


def described(usage: Usage, allowance: Allowance, *, in_server: bool) -> str:
    lines = [say(USED_IN_SERVER if in_server else USED_OUTSIDE, credits=_credits(usage.spent))]
    lines += _no_limit() if allowance.credits is None else _what_is_left(usage, allowance.credits)
    if usage.charges:
        oldest = usage.charges[0]
        lapses = discord.utils.format_dt(oldest.at + WINDOW, "R")
        lines.append(
            say("The oldest part, {credits}, stops counting {when}.", credits=_credits(oldest.credits), when=lapses)
        )
    if allowance.waiting is not None:
        lines.append(say("At most {limit} of your jobs can wait in line at a time.", limit=allowance.waiting))
    return "\n".join([*lines, f"-# {say(WHAT_A_CREDIT_IS)}"])


def _no_limit() -> list[str]:
    return [say("There is no limit for you here: draw as much as you like.")]


def _what_is_left(usage: Usage, limit: float) -> list[str]:
    left = max(0.0, limit - usage.spent)
    used_cells = BAR_CELLS if usage.spent >= limit else round(BAR_CELLS * usage.spent / limit)
    bar = "▰" * used_cells + "▱" * (BAR_CELLS - used_cells)
    lines = [f"{bar} {say('{credits} of {limit} left', credits=_credits(left), limit=_number(limit))}"]
    if not usage.has_room(DEFAULT_PICTURE, limit):
        lines.append(_room(usage, limit))
    return lines


def _room(usage: Usage, limit: float) -> str:
    room_at = usage.room_at(DEFAULT_PICTURE, limit)
    if room_at is None:
        return say("A default picture costs more than your whole limit; smaller ones with fewer steps may fit.")
    return say("There will be room for a default picture {when}.", when=discord.utils.format_dt(room_at, "R"))


def _credits(credits: float) -> str:
    number = _number(credits)
    return say("1 credit") if number == "1" else say("{count} credits", count=number)


def _number(credits: float) -> str:
    return f"{credits:.2f}".rstrip("0").rstrip(".")
