"""Discord's time, from which this machine's clock may differ by hours.

Times in messages are shown by each reader's own clock, so they have to be Discord's.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal

import discord

#: Answers tell whole seconds, and come after some time. Clocks that differ by less count as the same.
SAME = timedelta(seconds=5)


class DiscordClock:
    """Knows by how much the clocks differ once Discord has answered anything; before that they count as the same."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def note(self, date: str | None) -> None:
        """The `Date` of an answer that has just come."""
        try:
            told = parsedate_to_datetime(date or "")
        except ValueError:
            return
        if told.tzinfo is None:
            told = told.replace(tzinfo=UTC)
        ahead = told - discord.utils.utcnow()
        self._ahead = timedelta() if abs(ahead) < SAME else ahead

    def forget(self) -> None:
        self._ahead = timedelta()

    def at(self, moment: datetime) -> datetime:
        """What Discord's clock shows at a moment of this machine's."""
        return moment + self._ahead

    def age(self, snowflake: int) -> timedelta:
        """How long ago Discord made one of its ids."""
        return self.at(discord.utils.utcnow()) - discord.utils.snowflake_time(snowflake)


#: For the whole process, since it has one clock.
discord_clock = DiscordClock()


def time_mention(moment: datetime, style: Literal["f", "R"] = "f") -> str:
    """A moment of this machine's clock, shown in each reader's language and time zone; "R": relative to now."""
    return discord.utils.format_dt(discord_clock.at(moment), style if style == "R" else None)
