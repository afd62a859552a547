"""What Discord does besides answering: it archives threads, loses messages, and lets two processes in."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from sqlalchemy import update

from bot.jobs import engines
from bot.jobs.recovery import Recovery
from bot.sandbox import FakeDiscord
from bot.sandbox.model.errors import ApiError, Refusal
from inference.process import EngineDied
from inference.request import OutOfMemory
from inference.weights.headers.contents import TRANSFORMER_MARK
from inference.weights.modelspec import ANIMA
from storage.backend.clock import utc_now
from storage.backend.drawing_claim import ClaimLost
from storage.jobs import Job
from storage.schema import JobState, jobs
from tests.bot.harness import Stage, until
from tests.header_only import write_header

ENDED = (JobState.DELIVERED, JobState.FAILED, JobState.REFUSED, JobState.CANCELLED)


async def ended(stage: Stage, job_id: int) -> Job:
    async def found() -> Job | None:
        job = await stage.database.jobs.get(job_id)
        return job if job is not None and job.state in ENDED else None

    return await until(found)


@pytest.mark.parametrize("code", [50083, 160005, 50024])
async def test_an_image_for_a_closed_thread_is_posted_in_a_new_message(stage: Stage, code: int) -> None:
    thread, messages = stage.discord.world.thread, stage.discord.messages
    edit = messages.edit

    def refuse(message: Any, body: Any) -> Any:
        if message.channel is thread:
            raise ApiError(Refusal(400, code, "Closed"))
        return edit(message, body)

    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl", where=thread)).id, JobState.RUNNING)
    messages.edit = refuse
    stage.engine.let_go()
    job = await ended(stage, job.id)
    assert job.state is JobState.DELIVERED
    assert stage.discord.messages.get(job.message_id).attachments


async def test_two_processes_with_one_token_lose_no_image(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Stage(stage.discord, tmp_path / "other")
    await other.start()
    try:
        sent = await stage.slash("imagine", prompt="1girl")

        async def delivered() -> bool:
            jobs = [await each.database.jobs.by_interaction(sent.id) for each in (stage, other)]
            return [job.state for job in jobs if job is not None] == [JobState.DELIVERED]

        await until(delivered)
    finally:
        await other.stop()


@pytest.mark.parametrize("says", ["that somebody is blocked", "that something went wrong", "that another bot draws"])
async def test_a_process_says_nothing_where_another_one_has_answered(
    stage: Stage, says: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A follow-up would replace the other one's loading message, for everybody to see."""
    if says == "that somebody is blocked":
        await stage.client.moderation.block(stage.general.guild.id, stage.alice.id, by=stage.bob.id)
    else:
        error = RuntimeError("a bug") if says == "that something went wrong" else ClaimLost("Another bot draws.")
        monkeypatch.setattr(stage.client.interactions, "begin", Mock(side_effect=error))
    body = {"message": "Interaction has already been acknowledged.", "code": 40060}
    stage.discord.faults.answer("POST", "^/interactions/", 400, body, times=100)
    sent = await stage.slash("imagine", prompt="1girl")

    async def heard() -> bool:
        return "answered by another process" in caplog.text

    await until(heard)
    assert stage.discord.request_log.find("POST", "^/webhooks/") == []
    assert await stage.database.jobs.by_interaction(sent.id) is None


async def test_drawing_a_private_image_again_shows_nobody_else_its_words(stage: Stage) -> None:
    await stage.in_state((await stage.ask("secret", private=True)).id, JobState.DELIVERED)
    page = await stage.answer("history")
    [menu] = [each for each in page.inputs() if each["custom_id"] == "anima:history:show"]
    chosen = await stage.discord.choose(stage.alice, page, "anima:history:show", [menu["options"][0]["value"]])
    again = await stage.press(await chosen.response(), "Draw again")
    job = await until(lambda: stage.database.jobs.by_interaction(again.id))
    assert job.private
    await stage.in_state(job.id, JobState.DELIVERED)
    assert not any("secret" in each.text for each in stage.discord.messages_in(stage.general, stage.bob))


@pytest.mark.parametrize("option", ["aspect", "lora", "sampler"])
async def test_options_are_completed_while_the_model_loads(loading_stage: Stage, option: str) -> None:
    others = {"prompt": "1girl"}
    found = await loading_stage.discord.autocomplete(
        loading_stage.alice, loading_stage.general, "anima imagine", option, "e", others
    )
    assert bool(found) == (option == "sampler")


async def test_a_job_is_queued_while_the_model_loads_and_its_message_says_so(loading_stage: Stage) -> None:
    write_header(loading_stage.models / "diffusion_models" / "anima-base.safetensors", {TRANSFORMER_MARK: (1, 0)})
    sizes = await loading_stage.discord.autocomplete(
        loading_stage.alice, loading_stage.general, "anima imagine", "aspect", "", {}
    )
    assert len(sizes) == len(ANIMA.sizes)
    job = await loading_stage.ask("1girl")
    assert job.state is JobState.QUEUED

    async def shown() -> bool:
        message = loading_stage.discord.messages.get(job.message_id)
        return message is not None and "The model is loading" in message.text

    await until(shown)
    loading_stage.engine.loaded.set()
    await loading_stage.in_state(job.id, JobState.DELIVERED)


async def test_a_user_is_notified_if_the_model_cannot_be_loaded(
    standin: FakeDiscord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "MIN_START_DELAY", 0.05)
    stage = Stage(standin, tmp_path)
    may_fail = threading.Event()

    def start() -> Any:
        may_fail.wait()
        raise EngineDied("out of memory")

    monkeypatch.setattr(stage.engine, "start", start)
    stage.engine.loaded.clear()
    await stage.start()
    await (await stage.slash("imagine", prompt="1girl")).acknowledged()
    may_fail.set()

    async def told() -> bool:
        return not any(each.is_loading for each in standin.messages_in(stage.general))

    await until(told)
    await stage.stop()


async def test_a_job_waits_for_a_model_that_cannot_be_loaded_and_ends_after_hours(
    standin: FakeDiscord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "MIN_START_DELAY", 0.01)
    monkeypatch.setattr("bot.jobs.delivery.progress.EDIT_INTERVAL", 0.05)
    stage = Stage(standin, tmp_path)
    write_header(stage.models / "diffusion_models" / "anima-base.safetensors", {TRANSFORMER_MARK: (1, 0)})

    def start() -> Any:
        raise OutOfMemory("no memory")

    monkeypatch.setattr(stage.engine, "start", start)
    await stage.start()
    job = await stage.ask("1girl")

    async def says(words: str) -> bool:
        message = stage.discord.messages.get(job.message_id)
        return message is not None and words in message.text

    await until(lambda: says("The model can't be loaded right now"))
    wait = stage.client.model_wait
    await wait.end_overdue(utc_now() + timedelta(hours=5.9))
    assert await stage.in_state(job.id, JobState.QUEUED)
    await wait.end_overdue(utc_now() + timedelta(hours=6.1))
    await stage.in_state(job.id, JobState.FAILED)
    await until(lambda: says("couldn't be loaded for hours"))
    assert (await stage.database.quotas.usage(job.account)).spent == 0
    await stage.stop()


async def test_a_job_waits_for_a_model_no_longer_for_being_restarted_meanwhile(
    standin: FakeDiscord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "MIN_START_DELAY", 0.01)
    stage = Stage(standin, tmp_path)
    write_header(stage.models / "diffusion_models" / "anima-base.safetensors", {TRANSFORMER_MARK: (1, 0)})
    await stage.start()
    drawn, _ = await stage.draw("1girl")
    stage.engine.hold()
    await stage.in_state((await stage.ask("busy", stage.bob)).id, JobState.RUNNING)
    job = await stage.ask("1girl")

    async def set_back(job_id: int, column: str, hours: float) -> None:
        async with stage.database.jobs._transactions.writing() as connection:
            await connection.execute(
                update(jobs).where(jobs.c.id == job_id).values({column: utc_now() - timedelta(hours=hours)})
            )

    def start() -> Any:
        raise OutOfMemory("no memory")

    await set_back(job.id, "queued_at", 7.0)
    monkeypatch.setattr(stage.engine, "start", start)
    await stage.restart()

    async def has_failed() -> bool:
        return stage.client.workers.failures > 0

    await until(has_failed)
    await stage.client.model_wait.end_overdue(utc_now())
    assert (await stage.database.jobs.get(job.id)).state is JobState.QUEUED, "the model drew just now"
    await set_back(drawn.id, "rendered_at", 6.5)
    await stage.client.model_wait.end_overdue(utc_now())
    await stage.in_state(job.id, JobState.FAILED)
    await stage.stop()


async def test_a_message_that_is_gone_is_asked_for_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.jobs.delivery.progress.EDIT_INTERVAL", 0.05)
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl")).id, JobState.RUNNING)
    stage.discord.delete_message(stage.discord.messages.get(job.message_id))

    def missed(prefix: str) -> int:
        requests = stage.discord.request_log.requests
        return sum(each.status == 404 and each.route.startswith(prefix) for each in requests)

    assert (await ended(stage, job.id)).state is JobState.CANCELLED
    await asyncio.sleep(0.3)
    assert missed("/webhooks") <= 1 and missed("/channels") <= 1


async def test_updates_use_the_interactions_token_and_spare_the_channels_limit(stage: Stage) -> None:
    jobs = [await stage.ask("1girl") for _ in range(3)]
    for job in jobs:
        await stage.in_state(job.id, JobState.DELIVERED)
    edits = [each for each in stage.discord.request_log.requests if each.method == "PATCH"]
    assert edits and all(each.route.startswith("/webhooks") for each in edits)


async def test_a_job_that_is_asked_for_during_recovery_is_queued_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is written down while the queue is filled from the database, and must not be put there twice."""
    may_recover, recover = asyncio.Event(), Recovery.run

    async def later(self: Recovery, *, counting: bool) -> None:
        await may_recover.wait()
        await recover(self, counting=counting)

    monkeypatch.setattr(Recovery, "run", later)
    await stage.stop()
    await stage.discord.wait_until_gone()
    write_header(stage.models / "diffusion_models" / "anima-base.safetensors", {TRANSFORMER_MARK: (1, 0)})
    starting = asyncio.create_task(stage.start())
    await stage.discord.wait_until_ready()
    sent = await stage.slash("imagine", prompt="1girl")
    await sent.acknowledged()
    await asyncio.sleep(0.2)  # long enough for a job to be accepted
    may_recover.set()
    await starting
    job = await until(lambda: stage.database.jobs.by_interaction(sent.id))
    await stage.in_state(job.id, JobState.DELIVERED)
    assert stage.client.failure is None
