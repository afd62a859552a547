"""The stream of events begins where its reader left off and ends with the stand-in."""

from __future__ import annotations

import asyncio

import pytest

from bot.sandbox.model.clock import Clock
from bot.sandbox.model.events import EventLog


@pytest.fixture
def events() -> EventLog[None, None]:
    return EventLog(Clock())


async def numbers(events: EventLog[None, None], after: int = 0) -> list[int]:
    return [event.number async for event in events.stream(after)]


async def test_a_closed_stream_gives_everything_that_happened_and_ends(events: EventLog[None, None]) -> None:
    reading = asyncio.create_task(numbers(events, after=1))
    for kind in ("typing", "message_create", "message_delete"):
        events.emit(kind, {})
        await asyncio.sleep(0)
    events.close()
    assert await reading == [2, 3]
    assert await numbers(events, after=2) == [3]
    assert await numbers(events, after=3) == []


async def test_who_waits_for_an_event_is_not_left_waiting_by_a_closed_stand_in(events: EventLog[None, None]) -> None:
    waiting = asyncio.create_task(events.wait_for(lambda event: event.kind == "typing"))
    events.emit("message_create", {})
    await asyncio.sleep(0)
    events.close()
    with pytest.raises(EOFError, match="closed"):
        await waiting
