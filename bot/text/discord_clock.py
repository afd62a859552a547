"""Discord's time, from which this machine's clock may differ by hours.

Each reader's device shows the times in messages by its own clock, so they must be Discord's.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal

import discord

#: Smaller differences between the clocks are ignored: answers have whole seconds, and take some time.
SAME = timedelta(seconds=5)


class DiscordClock:
    """Knows the difference between the clocks after Discord's first answer; 0 before that."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def note(self, date: str | None) -> None:
        """Measures the difference. `date`: the header `Date` of an answer that has just arrived."""
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
        """Converts a time of this machine's clock to Discord's."""
        return moment + self._ahead

    def age(self, snowflake: int) -> timedelta:
        """The time since Discord created this id."""
        return self.at(discord.utils.utcnow()) - discord.utils.snowflake_time(snowflake)


#: One for the whole process, which has only one clock.
discord_clock = DiscordClock()


def time_mention(moment: datetime, style: Literal["f", "R"] = "f") -> str:
    """A timestamp that Discord shows in each reader's language and time zone; "R": relative to now.

    moment: by this machine's clock.
    """
    return discord.utils.format_dt(discord_clock.at(moment), style if style == "R" else None)
