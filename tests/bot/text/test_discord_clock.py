"""The clock that times are shown by: Discord's, however wrong this machine's is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import discord
import pytest

from bot.text.discord_clock import DiscordClock

NOON = datetime(2026, 8, 1, 12, tzinfo=UTC)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> DiscordClock:
    monkeypatch.setattr(discord.utils, "utcnow", lambda: NOON)
    return DiscordClock()


def answered_at(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


@pytest.mark.parametrize("hours", [-30, -2, 2, 30])
def test_it_shows_what_discord_says(clock: DiscordClock, hours: int) -> None:
    clock.note(answered_at(NOON + timedelta(hours=hours)))
    assert clock.at(NOON) == NOON + timedelta(hours=hours)
    assert clock.age(discord.utils.time_snowflake(NOON)) == timedelta(hours=hours)
    clock.note(answered_at(NOON))
    assert clock.at(NOON) == NOON, "this machine's clock was set right"


def test_a_slow_answer_is_no_difference(clock: DiscordClock) -> None:
    clock.note(answered_at(NOON - timedelta(seconds=3)))
    assert clock.at(NOON) == NOON


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_an_answer_that_does_not_say_when_changes_nothing(clock: DiscordClock, date: str | None) -> None:
    clock.note(answered_at(NOON + timedelta(hours=1)))
    clock.note(date)
    assert clock.at(NOON) == NOON + timedelta(hours=1)
    clock.forget()
    assert clock.at(NOON) == NOON
