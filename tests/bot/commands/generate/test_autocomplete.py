"""Completions answer at once, whatever is slow, and only a person's newest one matters."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.commands.generate import autocomplete
from storage.preferences import Preferences
from tests.bot.harness import Stage, until


async def test_presets_that_take_too_long_are_not_waited_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autocomplete, "COMPLETION_TIMEOUT", 0.05)

    async def never(*args: Any) -> Any:
        await asyncio.sleep(3600)

    monkeypatch.setattr(Preferences, "presets", never)
    found = await stage.discord.autocomplete(stage.alice, stage.general, "anima imagine", "preset", "a", prompt="1girl")
    assert found == []
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "completion"]


async def test_a_superseded_request_is_dropped_for_the_newer_one_of_the_same_person(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.database.preferences.save_preset(stage.alice.id, "anime", {"steps": 5})
    presets, may_answer, waiting = Preferences.presets, asyncio.Event(), 0

    async def slowly(self: Preferences, user_id: int) -> Any:
        nonlocal waiting
        waiting += 1
        if waiting < 3:
            await may_answer.wait()
        return await presets(self, user_id)

    async def are_waiting() -> bool:
        return waiting == 2

    monkeypatch.setattr(autocomplete, "COMPLETION_TIMEOUT", 60.0)
    monkeypatch.setattr(Preferences, "presets", slowly)
    others = {"prompt": "1girl"}
    command = (stage.general, "anima imagine", "preset")
    first = await stage.discord.type_into(stage.alice, *command, "a", others)
    bobs = await stage.discord.type_into(stage.bob, *command, "a", others)
    await until(are_waiting)
    newer = await stage.discord.type_into(stage.alice, *command, "an", others)
    assert await first.choices() == []
    assert [choice.value for choice in await newer.choices()] == ["anime"]
    assert bobs.interaction.callback is None
    may_answer.set()
    assert await bobs.choices() == []
