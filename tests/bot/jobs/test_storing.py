"""The images of a batch are stored while the engine draws the next one, and nothing of either is lost or done twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from bot.jobs import worker
from bot.jobs.queue import FairQueue, QueuedJob
from bot.ops.shutdown import Shutdown
from inference import EncodedImage, GenerationRequest
from storage.jobs import Job
from storage.schema import JobState
from tests.bot.harness import TIMEOUT, Stage, until

pytestmark = pytest.mark.both_databases


class Slow:
    """Storing the images of `job_ids` waits until it is let go."""

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch, *job_ids: int) -> None:
        self.reached, self._let_go = asyncio.Event(), asyncio.Event()
        rendered: Callable[..., Any] = stage.database.jobs.rendered

        async def slowly(job_id: int, *rest: Any, **options: Any) -> Any:
            if job_id in job_ids:
                self.reached.set()
                await self._let_go.wait()
            return await rendered(job_id, *rest, **options)

        monkeypatch.setattr(stage.database.jobs, "rendered", slowly)

    def let_go(self) -> None:
        self._let_go.set()


async def held(stage: Stage, *prompts: str, batch: int = 1) -> list[Job]:
    """Jobs that wait behind another, which the engine is held at, and that are then drawn in batches of this size."""
    stage.client.queue._largest_batch = batch
    stage.engine.hold()
    busy = await stage.in_state((await stage.ask("busy", stage.bob, steps=1)).id, JobState.RUNNING)
    waiting = [await stage.ask(prompt) for prompt in prompts]
    return [busy, *waiting]


async def drawn_batches(stage: Stage, count: int) -> None:
    async def reached() -> bool:
        return len(stage.engine.batches) >= count

    await until(reached)


async def test_the_engine_draws_the_next_batch_while_images_are_stored(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, *others = await held(stage, "1girl", "2girls")
    slow = Slow(stage, monkeypatch, busy.id)
    stage.engine.let_go()
    await slow.reached.wait()
    await drawn_batches(stage, 2)
    assert (await stage.in_state(busy.id, JobState.RUNNING)).rendered_at is None
    slow.let_go()
    for job in (busy, *others):
        done = await stage.in_state(job.id, JobState.DELIVERED)
        assert done.attempts == 1
    assert [len(batch) for batch in stage.engine.batches] == [1, 1, 1]


async def test_nothing_is_drawn_before_it_is_marked_as_running(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    start, generate, running = stage.database.jobs.start, stage.engine.generate, set[str]()

    async def started(job_ids: Sequence[int]) -> Sequence[Job]:
        jobs = await start(job_ids)
        running.update(job.prompt for job in jobs)
        return jobs

    def drawn(requests: Sequence[GenerationRequest], *rest: Any) -> list[EncodedImage]:
        assert all(any(prompt in request.prompt for prompt in running) for request in requests)
        return generate(requests, *rest)

    monkeypatch.setattr(stage.database.jobs, "start", started)
    monkeypatch.setattr(stage.engine, "generate", drawn)
    jobs = await held(stage, "ant", "bee", "cat")
    stage.engine.let_go()
    for job in jobs:
        assert (await stage.in_state(job.id, JobState.DELIVERED)).attempts == 1


async def test_the_engine_does_not_wait_for_images_that_are_stored(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next batch is marked as running first, also where the database does one change after the other."""
    monkeypatch.setattr(worker, "MAX_STORING_DELAY", TIMEOUT)
    events: list[tuple[str, int]] = []
    start, rendered = stage.database.jobs.start, stage.database.jobs.rendered

    async def started(job_ids: Sequence[int]) -> Sequence[Job]:
        events.extend(("start", job_id) for job_id in job_ids)
        return await start(job_ids)

    async def stored(job_id: int, *rest: Any, **options: Any) -> Any:
        events.append(("rendered", job_id))
        return await rendered(job_id, *rest, **options)

    busy, following = await held(stage, "1girl")
    monkeypatch.setattr(stage.database.jobs, "start", started)
    monkeypatch.setattr(stage.database.jobs, "rendered", stored)
    stage.engine.let_go()
    await stage.in_state(following.id, JobState.DELIVERED)
    assert events == [("start", following.id), ("rendered", busy.id), ("rendered", following.id)]


async def test_images_do_not_wait_long_for_a_next_batch_that_cannot_be_started(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, may_start = stage.database.jobs.start, asyncio.Event()

    async def started(job_ids: Sequence[int]) -> Sequence[Job]:
        await may_start.wait()
        return await start(job_ids)

    busy, following = await held(stage, "1girl")
    monkeypatch.setattr(stage.database.jobs, "start", started)
    monkeypatch.setattr(worker, "MAX_STORING_DELAY", 0.1)
    stage.engine.let_go()
    await stage.in_state(busy.id, JobState.DELIVERED)
    may_start.set()
    await stage.in_state(following.id, JobState.DELIVERED)


async def test_a_job_that_is_cancelled_while_its_batch_is_stored_shows_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, first, second = await held(stage, "ant", "bee", batch=4)
    slow = Slow(stage, monkeypatch, first.id)
    stage.engine.let_go()
    await slow.reached.wait()
    assert await stage.database.jobs.cancel(second.id, by=stage.alice.id)
    await stage.client.workers.cancel(second.id)
    slow.let_go()
    await stage.in_state(first.id, JobState.DELIVERED)
    assert (await stage.in_state(second.id, JobState.CANCELLED)).rendered_at is None
    await stage.draw("the next one")


async def test_a_shutdown_waits_for_images_that_are_stored(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    job = (await held(stage))[0]
    slow = Slow(stage, monkeypatch, job.id)
    stage.engine.let_go()
    await slow.reached.wait()
    leaving = asyncio.create_task(stage.client.shut_down(Shutdown(60.0)))
    await asyncio.sleep(0.1)
    assert not leaving.done()
    slow.let_go()
    await leaving
    assert (await stage.database.jobs.get(job.id)).rendered_at is not None  # type: ignore[union-attr]


async def test_images_that_could_not_be_stored_before_the_end_are_drawn_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, following = await held(stage, "1girl")
    slow = Slow(stage, monkeypatch, busy.id)
    stage.engine.let_go()
    await slow.reached.wait()
    await drawn_batches(stage, 2)
    shutdown = Shutdown(60.0)
    shutdown.request()
    shutdown.request()
    await stage.client.shut_down(shutdown)
    assert (await stage.in_state(busy.id, JobState.QUEUED)).attempts == 0
    await stage.restart()
    for job in (busy, following):
        assert (await stage.in_state(job.id, JobState.DELIVERED)).attempts == 1


async def test_a_bug_of_a_worker_ends_the_bot_as_itself(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def start(job_ids: Sequence[int]) -> Sequence[Job]:
        raise RuntimeError("a bug")

    monkeypatch.setattr(stage.database.jobs, "start", start)
    await stage.slash("imagine", prompt="1girl")

    async def ended() -> bool:
        return stage.client.failure is not None

    await until(ended)
    assert str(stage.client.failure) == "a bug"


async def test_what_is_there_now_is_taken_and_nothing_is_waited_for() -> None:
    queue = FairQueue(1)
    assert queue.take_now() == ()
    job = QueuedJob(1, 1, 1.0, 1, "key")
    queue.put(job)
    assert queue.take_now() == (job,) and queue.take_now() == ()
    queue.put(QueuedJob(2, 1, 1.0, 1, "key"))
    queue.close()
    assert queue.take_now() == ()
