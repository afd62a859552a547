"""Time and the ids made from it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import discord
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.sandbox import Clock
from bot.sandbox.model.clock import Snowflakes, moment_of, snowflake_at


@given(st.floats(1_500_000_000, 3_000_000_000))
def test_snowflakes_encode_their_moment_as_discord_py_reads_it(moment: float) -> None:
    snowflake = snowflake_at(moment)
    assert abs(moment_of(snowflake) - moment) <= 0.001
    assert abs(discord.utils.snowflake_time(snowflake).timestamp() - moment) <= 0.001


@given(st.lists(st.floats(0, 10), max_size=30))
def test_snowflakes_rise_whatever_the_clock_does(steps: list[float]) -> None:
    clock = Clock(frozen_at=1_700_000_000.0)
    snowflakes = Snowflakes(clock)
    made = [snowflakes.next()]
    for step in steps:
        clock.turn(step)
        made.append(snowflakes.next())
    assert made == sorted(set(made))


async def test_a_standing_clock_moves_only_when_turned_and_wakes_sleepers() -> None:
    clock = Clock(frozen_at=datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    start = clock.now()
    sleeper = asyncio.create_task(clock.sleep_until(start + 10))
    await asyncio.sleep(0.01)
    clock.turn(9.9)
    await asyncio.sleep(0.01)
    assert not sleeper.done() and clock.now() == start + 9.9
    clock.turn(0.2)
    await asyncio.wait_for(sleeper, 60)
    with pytest.raises(ValueError, match="only turns forward"):
        clock.turn(-1)


async def test_a_running_clock_wakes_by_itself() -> None:
    clock = Clock()
    await asyncio.wait_for(clock.sleep_until(clock.now() + 0.02), 60)
