"""The gateway breaks while a picture is being drawn: the picture arrives once, and the bot hears what comes after."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.ops.shutdown import InteractionTracker
from bot.sandbox import Channel, Message
from storage.schema import JobState
from tests.bot.harness import TIMEOUT, Stage, until


def pictures(stage: Stage, where: Channel | None = None) -> list[Message]:
    return [message for message in stage.discord.messages_in(where or stage.general) if message.shown]


async def back(stage: Stage, kind: str, since: int) -> None:
    await stage.discord.wait_for_event(lambda event: event.kind == kind, TIMEOUT, kind, since)


@pytest.mark.parametrize("break_it", ["drop", "cut", "request_reconnect"])
async def test_interactions_during_a_broken_connection_arrive_after_resuming(stage: Stage, break_it: str) -> None:
    stage.engine.hold()
    first = await stage.in_state((await stage.ask("first")).id, JobState.RUNNING)
    since = len(stage.discord.events.history)
    getattr(stage.discord.gateway, break_it)()
    meanwhile = await stage.slash("imagine", stage.bob, prompt="meanwhile")
    stage.engine.let_go()
    await back(stage, "gateway_resumed", since)
    second = await until(lambda: stage.database.jobs.by_interaction(meanwhile.id))
    jobs = [await stage.in_state(job.id, JobState.DELIVERED) for job in (first, second)]
    assert [job.attempts for job in jobs] == [1, 1]
    assert len(pictures(stage)) == 2
    assert stage.engine.starts == 1, "coming back begins nothing a second time"


async def test_an_invalid_session_starts_again_and_nothing_happens_twice(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(*_: Any, **__: Any) -> None:
        """discord.py waits for five seconds before it identifies again."""

    monkeypatch.setattr(stage.client, "before_identify_hook", at_once)
    stage.engine.hold()
    first = await stage.in_state((await stage.ask("first")).id, JobState.RUNNING)
    waiting = await stage.ask("waiting")
    since = len(stage.discord.events.history)
    ready = asyncio.create_task(stage.client.wait_for("ready", timeout=TIMEOUT))
    stage.discord.gateway.invalidate()
    await back(stage, "gateway_ready", since)
    await ready
    after = await stage.ask("after it", stage.bob)
    stage.engine.let_go()
    jobs = [await stage.in_state(job.id, JobState.DELIVERED) for job in (first, waiting, after)]
    assert [job.attempts for job in jobs] == [1, 1, 1], "what was in hand or queued is not picked up once more"
    assert len(pictures(stage)) == 3
    assert stage.engine.starts == 1


async def test_an_interaction_that_arrives_twice_is_one_job(stage: Stage) -> None:
    stage.engine.hold()
    asked = await stage.slash("imagine", prompt="once")
    job = await until(lambda: stage.database.jobs.by_interaction(asked.id))
    stage.discord.gateway.dispatch("INTERACTION_CREATE", stage.discord.interactions._payload(asked.interaction))
    stage.engine.let_go()
    await stage.in_state(job.id, JobState.DELIVERED)
    await stage.draw("the next one")
    assert len(pictures(stage)) == 2
    assert await stage.database.jobs.live_of(stage.alice.id) == ()
    assert len(stage.discord.request_log.find("POST", f"^/interactions/{asked.id}/")) == 1
    assert not stage.discord.request_log.find("POST", "^/webhooks/"), "who asked hears nothing of it"


async def test_an_interaction_that_arrives_again_after_a_restart_is_one_job(stage: Stage) -> None:
    stage.engine.hold()
    asked = await stage.slash("imagine", prompt="once")
    job = await until(lambda: stage.database.jobs.by_interaction(asked.id))
    stage.client.interactions = InteractionTracker()
    taken = {"interaction": {"id": str(asked.id), "type": 2}}
    acknowledged = stage.discord.faults.answer("POST", "^/interactions/", 200, taken)
    stage.discord.gateway.dispatch("INTERACTION_CREATE", stage.discord.interactions._payload(asked.interaction))
    assert "already being drawn" in (await asked.followup()).content
    assert acknowledged.hits == 1
    stage.engine.let_go()
    await stage.in_state(job.id, JobState.DELIVERED)
    await stage.draw("the next one")
    assert len(pictures(stage)) == 2
    assert await stage.database.jobs.live_of(stage.alice.id) == ()
