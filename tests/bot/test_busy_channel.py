"""In a busy channel under Discord's rate limits, progress never delays a finished image."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox import FakeDiscord
from bot.sandbox.server.request_log import RequestRecord
from inference import EncodedImage, GenerationRequest, Progress
from storage.jobs import Job, Jobs
from storage.schema import JobState
from tests.bot.fake_engine import NATIVE, FakeEngine
from tests.bot.harness import Stage

#: Seconds.
DRAWING, STEPS = 0.4, 4
#: Longer than an interaction's token lives.
TOKEN_IS_OVER = 16 * 60


class SteadyEngine(FakeEngine):
    """Takes a while for each image, and tells how far it is."""

    def generate(self, requests: Sequence[GenerationRequest], *given: Any, **named: Any) -> list[EncodedImage]:
        on_progress = given[0] if given else named.get("on_progress")
        for step in range(1, STEPS + 1):
            time.sleep(DRAWING / STEPS)
            if on_progress is not None:
                on_progress(Progress(step, NATIVE.steps, tuple(range(len(requests))), lambda: []))
        return super().generate(requests, *given, **named)


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> dict[int, float]:
    """When the images of each job were committed, by its id; only from then on could they be sent."""
    times: dict[int, float] = {}
    store = Jobs.rendered

    async def noting(jobs: Jobs, job_id: int, *given: Any, **named: Any) -> tuple[int, ...] | None:
        ids = await store(jobs, job_id, *given, **named)
        times[job_id] = time.time()
        return ids

    monkeypatch.setattr(Jobs, "rendered", noting)
    return times


@pytest.fixture
async def stage(standin: FakeDiscord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr("bot.jobs.delivery.progress.EDIT_INTERVAL", 0.5)
    stage = Stage(standin, tmp_path)
    stage.engine = SteadyEngine()
    stage.settings["anima_largest_batch"] = 1
    await stage.start()
    yield stage
    await stage.stop()


async def ask_for_many(stage: Stage, count: int = 10) -> list[Job]:
    world = stage.discord.world
    members = [world.add_user(f"member{number}", world.guild) for number in range(count)]
    return [await stage.ask(f"picture {number}", user) for number, user in enumerate(members)]


async def delivered(stage: Stage, jobs: Sequence[Job]) -> list[Job]:
    return [await stage.in_state(job.id, JobState.DELIVERED) for job in jobs]


def result_of(stage: Stage, job: Job) -> RequestRecord:
    """The accepted request that brought the image of a job."""
    requests = stage.discord.request_log.find(status=200)
    [request] = [each for each in requests if brings_image_of(each, job)]
    return request


def brings_image_of(request: RequestRecord, job: Job) -> bool:
    return any(name.startswith(f"anima-{job.id}-") for name, _ in request.files)


def begun(request: RequestRecord) -> float:
    return request.at - request.seconds


def progress_between(stage: Stage, job: Job, stored: float) -> list[RequestRecord]:
    """The edits without a finished image that were begun after a job's image was stored and before it was sent.

    stored: when, by Discord's clock.
    """
    sent = begun(result_of(stage, job))
    edits = stage.discord.request_log.find("PATCH")
    return [
        each
        for each in edits
        if stored < begun(each) < sent and not any(name.startswith("anima-") for name, _ in each.files)
    ]


def by_channel(edits: Sequence[RequestRecord]) -> list[RequestRecord]:
    """Those that count towards the channel's limit; by an interaction's token they do not, even if it is refused."""
    return [each for each in edits if each.route.startswith("/channels/")]


async def test_no_progress_edit_is_sent_between_a_finished_image_and_its_delivery(
    stage: Stage, stored: dict[int, float]
) -> None:
    for job in await delivered(stage, await ask_for_many(stage)):
        own, between = result_of(stage, job), progress_between(stage, job, stored[job.id])
        in_the_way = [each for each in between if each.path == own.path]
        assert len(in_the_way) <= 1, "one may have been on its way"
        assert by_channel(between) == []
    assert stage.discord.request_log.find("PATCH", "^/webhooks/")
    assert stage.discord.request_log.find(status=429) == []


async def test_after_the_tokens_have_expired_images_still_come_before_progress(
    stage: Stage, stored: dict[int, float]
) -> None:
    stage.engine.hold()
    jobs = await ask_for_many(stage, 6)
    stage.discord.clock.turn(TOKEN_IS_OVER)
    stage.engine.let_go()
    jobs = await delivered(stage, jobs)
    for job in jobs:
        late = by_channel(progress_between(stage, job, stored[job.id] + TOKEN_IS_OVER))
        assert len(late) <= 1, "one may have been on its way"
    assert [stage.discord.messages.get(job.message_id).shown for job in jobs].count(()) == 0
    assert stage.discord.request_log.find(status=429) == []
