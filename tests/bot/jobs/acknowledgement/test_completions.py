"""Completions take turns: a person's newest alone, behind what came before it, and none that comes too late."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from bot.jobs.acknowledgement import completions
from bot.jobs.acknowledgement.completions import CompletionQueue
from tests.bot.harness import until


def typed(person: int, text: str) -> Mapping[str, Any]:
    return {"id": text, "member": {"user": {"id": str(person)}}}


class Begun:
    """The texts of the completions that began."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.turns = CompletionQueue(lambda payload: self.texts.append(payload["id"]))

    async def all_of(self, count: int) -> list[str]:
        async def are_begun() -> bool:
            return len(self.texts) >= count

        await until(are_begun)
        await asyncio.sleep(0.01)  # nothing else begins
        return self.texts


async def test_only_a_users_newest_completion_starts_after_all_earlier_ones() -> None:
    begun = Begun()
    for person, text in ((1, "a"), (2, "b"), (1, "a2"), (3, "c"), (1, "a3")):
        begun.turns.add(typed(person, text))
    assert await begun.all_of(3) == ["b", "c", "a3"]
    begun.turns.add(typed(1, "a4"))
    assert await begun.all_of(4) == ["b", "c", "a3", "a4"]


async def test_completions_in_private_messages_are_ordered_too() -> None:
    begun = Begun()
    begun.turns.add({"id": "a", "user": {"id": "1"}})
    begun.turns.add({"id": "b", "user": {"id": "2"}})
    begun.turns.add({"id": "who?"})
    assert await begun.all_of(3) == ["a", "b", "who?"]


async def test_a_completion_starts_after_the_previous_ones_first_step() -> None:
    order: list[str] = []

    async def complete(text: str) -> None:
        order.append(f"{text} begins")
        await asyncio.sleep(0)
        order.append(f"{text} goes on")

    tasks: list[asyncio.Task[None]] = []
    turns = CompletionQueue(lambda payload: tasks.append(asyncio.create_task(complete(payload["id"]))))
    turns.add(typed(1, "a"))
    turns.add(typed(2, "b"))

    async def are_begun() -> bool:
        return len(order) == 4

    await until(are_begun)
    assert order == ["a begins", "a goes on", "b begins", "b goes on"]


async def test_a_completion_that_waited_nearly_as_long_as_discord_allows_never_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = Begun()
    monkeypatch.setattr(completions, "MAX_AGE", -1.0)
    begun.turns.add(typed(1, "late"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    monkeypatch.setattr(completions, "MAX_AGE", 60.0)
    begun.turns.add(typed(1, "in time"))
    assert await begun.all_of(1) == ["in time"]


async def test_a_completion_that_cannot_begin_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    begun: list[str] = []

    def begin(payload: Mapping[str, Any]) -> None:
        if payload["id"] == "broken":
            raise KeyError("data")
        begun.append(payload["id"])

    turns = CompletionQueue(begin)
    turns.add(typed(1, "broken"))
    turns.add(typed(2, "whole"))

    async def has_begun() -> bool:
        return begun == ["whole"]

    await until(has_begun)
    assert "a completion could not be started" in caplog.text
