"""What a job's message says of how it stands."""

from datetime import timedelta

import discord
import pytest

from bot.messages.job import ready_text


@pytest.mark.parametrize("seconds", [-5, 0, 9])
def test_what_is_ready_in_a_moment_has_no_time_that_would_soon_be_past(seconds: float) -> None:
    assert ready_text("Drawing now", discord.utils.utcnow() + timedelta(seconds=seconds)) == "Drawing now, ready soon"


def test_a_time_is_told_where_it_is_some_way_off_and_known() -> None:
    ready_at = discord.utils.utcnow() + timedelta(minutes=1)
    assert ready_text("Next", ready_at) == f"Next, should be ready {discord.utils.format_dt(ready_at, 'R')}"
    assert ready_text("Next", None) == "Next"
