"""A job's one message shows where it stands and how far it is; edits never overlap, and none comes late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from PIL import Image

from bot.jobs.delivery import progress, transmission
from bot.jobs.delivery.progress import JobProgress, StatusMessages, _side_by_side
from bot.jobs.delivery.transmission import Transmission
from bot.messages.job import COMES_IN_PRIVATE, QueueStatus
from storage.jobs import Job
from storage.schema import JobState
from tests.bot.harness import TIMEOUT, Stage, until
from tests.bot.jobs.delivery.jobs import a_job


class Shown:
    """Stands where delivery does: keeps what is shown, and how many edits of one message are under way at a time."""

    def __init__(self) -> None:
        self.texts: list[tuple[int, str]] = []
        self.files: list[int] = []
        self.most_at_a_time = 0
        #: While it is not set, edits wait for a rate limit and are not sent.
        self.may_be_sent = asyncio.Event()
        self.may_be_sent.set()
        #: While it is not set, what was sent is not answered.
        self.may_be_answered = asyncio.Event()
        self.may_be_answered.set()
        self.sent = asyncio.Event()
        self._pending_edits: dict[int, int] = {}

    async def takes_previews(self, job: Job) -> bool:
        return True

    async def show(
        self, job: Job, view: Any, files: Callable[[], list[Any]] = list, *, with_files: bool = False
    ) -> bool:
        await self.may_be_sent.wait()
        self._pending_edits[job.id] = self._pending_edits.get(job.id, 0) + 1
        self.most_at_a_time = max(self.most_at_a_time, self._pending_edits[job.id])
        sending = transmission_of_this_task()
        sending._starts()
        self.sent.set()
        await self.may_be_answered.wait()
        sending._ends(200)
        self._pending_edits[job.id] -= 1
        assert with_files == bool(files())
        self.texts.append((job.id, view.children[0].content))
        self.files.append(len(files()))
        return True


def transmission_of_this_task() -> Transmission[Any]:
    found = transmission._current.get()
    assert found is not None
    return found


async def _has_text(shown: Shown) -> bool:
    return bool(shown.texts)


def standing_at(places: dict[int, QueueStatus]) -> Callable[[Job], QueueStatus | None]:
    return lambda job: places.get(job.id)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EDIT_INTERVAL", 0.02)


async def run_for(messages: StatusMessages, rounds: int = 3) -> None:
    """Until all messages were looked through so many times, and all edits are made."""
    update_messages, looks = messages._update_messages, 0

    def counted() -> None:
        nonlocal looks
        looks += 1
        update_messages()

    async def enough() -> bool:
        return looks >= rounds

    messages._update_messages = counted  # type: ignore[method-assign]
    telling = asyncio.create_task(messages.run())
    await until(enough)
    telling.cancel()
    messages._update_messages = update_messages  # type: ignore[method-assign]
    await edits_are_made()


async def edits_are_made() -> None:
    while edits := [task for task in asyncio.all_tasks() if task.get_name().startswith("status-")]:
        await asyncio.wait(edits, timeout=TIMEOUT)


async def test_a_queue_position_is_shown_at_once_and_again_only_when_it_changes() -> None:
    places = {1: QueueStatus(3, None)}
    shown = Shown()
    messages = StatusMessages(shown, standing_at(places))  # type: ignore[arg-type]
    messages.note_queued(a_job())
    await run_for(messages)
    places[1] = QueueStatus(2, None)
    await run_for(messages)
    ready_at = datetime.now(UTC) + timedelta(minutes=10)
    places[1] = QueueStatus(0, ready_at)
    await run_for(messages)
    places[1] = QueueStatus(0, ready_at + timedelta(seconds=5))
    await run_for(messages)
    assert [text.splitlines()[-1].removeprefix("-# ") for _, text in shown.texts] == [
        "In queue, 3 jobs ahead",
        "In queue, 2 jobs ahead",
        f"Next in queue, should be ready <t:{int(ready_at.timestamp())}:R>",
    ]


async def test_edits_of_one_message_never_overlap_and_none_comes_after_the_end() -> None:
    shown = Shown()
    shown.may_be_answered.clear()
    messages = StatusMessages(shown, standing_at({1: QueueStatus(0, None)}))  # type: ignore[arg-type]
    job = a_job()
    messages.note_queued(job)
    for step in (1, 2):
        await asyncio.sleep(2 * progress.EDIT_INTERVAL)
        messages.note_progress(job, JobProgress(step / 4, step, 4))
    shown.may_be_answered.set()
    await edits_are_made()
    messages.note_progress(job, JobProgress(0.75, 3, 4))
    assert len(shown.texts) == 1
    await edits_are_made()
    messages.note_progress(job, JobProgress(1.0, 4, 4))
    await messages.end(job.id)
    assert len(shown.texts) == 2 and shown.most_at_a_time == 1
    await run_for(messages)
    assert len(shown.texts) == 2


async def test_a_message_is_edited_at_most_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EDIT_INTERVAL", 3600.0)
    shown = Shown()
    messages = StatusMessages(shown, standing_at({}), previews=False)  # type: ignore[arg-type]
    for step in range(1, 40):
        messages.note_progress(a_job(), JobProgress(step / 40, step, 40))
        await edits_are_made()
    assert [text.splitlines()[-1][-12:] for _, text in shown.texts] == ["step 1 of 40"]


async def test_an_unsent_edit_is_dropped_for_a_newer_one_and_for_the_end() -> None:
    shown = Shown()
    shown.may_be_sent.clear()
    messages = StatusMessages(shown, standing_at({}), previews=False)  # type: ignore[arg-type]
    job = a_job()
    for step in (1, 2):
        messages.note_progress(job, JobProgress(step / 4, step, 4))
        await asyncio.sleep(2 * progress.EDIT_INTERVAL)
    shown.may_be_sent.set()
    await until(lambda: _has_text(shown))
    assert [text.splitlines()[-1][-11:] for _, text in shown.texts] == ["step 2 of 4"]
    shown.may_be_sent.clear()
    messages.note_progress(job, JobProgress(0.75, 3, 4))
    await asyncio.sleep(2 * progress.EDIT_INTERVAL)
    messages.note_progress(job, JobProgress(0.75, 3, 4))
    assert await messages.end(job.id), "it returns although the edit was never sent"
    shown.may_be_sent.set()
    await asyncio.sleep(0.05)
    assert len(shown.texts) == 1


async def test_the_wait_for_a_sent_edit_is_limited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "EDIT_TIMEOUT", 0.02)
    shown = Shown()
    shown.may_be_answered.clear()
    messages = StatusMessages(shown, standing_at({}), previews=False)  # type: ignore[arg-type]
    messages.note_progress(a_job(), JobProgress(0.5, 2, 4))
    await asyncio.wait_for(shown.sent.wait(), TIMEOUT)
    assert not await messages.end(1), "it may still arrive"


async def test_an_ephemeral_message_announces_in_time_that_the_images_come_privately(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = Shown()
    waiting = {1: QueueStatus(3, None), 2: QueueStatus(4, None)}
    messages = StatusMessages(shown, standing_at(waiting))  # type: ignore[arg-type]
    known: dict[str, Any] = {"queued_at": datetime.now(UTC), "interaction_token": "token"}
    messages.note_queued(a_job(1, private=True, **known))
    messages.note_queued(a_job(2, private=False, **known))
    await run_for(messages)
    assert not any("private message" in text for _, text in shown.texts)
    monkeypatch.setattr(progress, "TOKEN_WARNING_AGE", timedelta(0))
    await run_for(messages)
    assert [job_id for job_id, text in shown.texts if "private message" in text] == [1]


@pytest.mark.parametrize("place", ["lounge", "group", "general", "private channel"])
async def test_so_does_a_message_where_the_bot_is_no_member(
    stage: Stage, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EDIT_INTERVAL", 0.05)
    world = stage.discord.world
    world.carol.locale = "en-US"
    where = {"lounge": world.lounge, "group": world.group, "general": world.general}.get(place)
    user = world.alice if place in ("general", "private channel") else world.carol
    stage.engine.hold()
    job = await stage.ask("1girl", user, where or stage.discord.dm(user))
    stage.discord.clock.turn(13.6 * 60)
    await stage.answer("quota", stage.alice)  # Discord's answers say what time it is

    def says_so() -> bool:
        message = stage.discord.messages.get(job.message_id)
        return message is not None and COMES_IN_PRIVATE in message.text

    if place in ("lounge", "group"):

        async def is_announced() -> bool:
            return says_so()

        await until(is_announced)
    else:
        await asyncio.sleep(0.5)
        assert not says_so()


async def test_whether_a_message_was_ever_edited_is_known_in_the_end() -> None:
    shown = Shown()
    shown.may_be_sent.clear()
    messages = StatusMessages(shown, standing_at({1: QueueStatus(0, None)}))  # type: ignore[arg-type]
    first_edit = messages.note_queued(a_job())
    await messages.end(1)
    assert not first_edit.done(), "the images may say it"
    messages.note_shown(1, True)
    assert await first_edit


async def test_an_edit_that_fails_is_made_again_and_says_nothing_of_the_end() -> None:
    class Failing(Shown):
        async def show(self, *args: Any, **more: Any) -> bool:
            await super().show(*args, **more)
            return len(self.texts) > 2

    shown = Failing()
    messages = StatusMessages(shown, standing_at({1: QueueStatus(0, None)}))  # type: ignore[arg-type]
    first_edit = messages.note_queued(a_job())
    await run_for(messages)
    assert first_edit.result() and len(shown.texts) == 3


async def test_a_long_line_costs_no_more_edits_than_a_short_one() -> None:
    places = {job_id: QueueStatus(job_id, None) for job_id in range(1, 201)}
    shown = Shown()
    messages = StatusMessages(shown, standing_at(places))  # type: ignore[arg-type]
    for job_id in places:
        messages.note_queued(a_job(job_id))
    await edits_are_made()
    assert len(shown.texts) == 200, "everybody is told at once where they stand"
    await asyncio.sleep(progress.EDIT_INTERVAL)
    places.update({job_id: QueueStatus(job_id - 1, None) for job_id in places})
    messages._update_messages()
    await edits_are_made()
    assert len(shown.texts) == 200 + progress.EDIT_BATCH_SIZE


async def test_after_a_restart_few_messages_are_edited_at_a_time_and_new_ones_at_once() -> None:
    """Each edit takes a connection, and ten thousand at a time more files than a process may have."""
    places = {job_id: QueueStatus(job_id, None) for job_id in range(1, 301)}
    shown = Shown()
    shown.may_be_answered.clear()
    messages = StatusMessages(shown, standing_at(places))  # type: ignore[arg-type]
    first_edit = [messages.note_queued(a_job(job_id), at_once=False) for job_id in range(1, 300)]
    messages.note_queued(a_job(300))
    await asyncio.sleep(0)
    under_way = [task for task in asyncio.all_tasks() if task.get_name().startswith("status-")]
    assert len(under_way) == progress.MAX_PENDING_EDITS + 1
    await messages.end(299)
    messages.note_progress(a_job(298), JobProgress(0.5, 2, 4))
    shown.may_be_answered.set()
    await asyncio.wait_for(asyncio.gather(*first_edit[:298]), TIMEOUT)
    await edits_are_made()
    assert sorted(job_id for job_id, _ in shown.texts) == [*range(1, 299), 300]
    assert all(words.result() for words in first_edit[:298]) and not first_edit[298].done()


async def test_who_waits_is_told_of_an_interruption_without_asking_for_each_position() -> None:
    """A position takes a quarter of a millisecond, during which a bot with 10,000 waiting jobs does nothing else."""

    def position(job: Job) -> QueueStatus | None:
        raise AssertionError("the position was asked for")

    shown = Shown()
    messages = StatusMessages(shown, standing_at({}), is_queued={1}.__contains__)  # type: ignore[arg-type]
    for job_id in (1, 2):
        messages.note_queued(a_job(job_id))
    messages.queue_status = position
    await Transmission(messages.interrupt_waiting(), "an interruption").task
    assert [job_id for job_id, _ in shown.texts] == [1]


async def test_previews_stand_side_by_side_and_only_where_they_may() -> None:
    halfway = JobProgress(0.5, 2, 4, [Image.new("RGB", (32, 48)), Image.new("RGB", (32, 48))])
    for previews in (True, False):
        shown = Shown()
        messages = StatusMessages(shown, standing_at({}), previews)  # type: ignore[arg-type]
        messages.note_progress(a_job(), halfway)
        await until(partial(_has_text, shown))
        assert shown.files == [int(previews)]
        assert "▰▰▰▰▰▰▱▱▱▱▱▱ step 2 of 4" in shown.texts[0][1]
    assert len(_side_by_side(halfway.previews)) > 100


async def _text_of(stage: Stage, message_id: int) -> str | None:
    message = stage.discord.messages.get(message_id)
    return message.text if message is not None and not message.is_loading else None


async def test_one_message_shows_queue_position_preview_and_image(stage: Stage) -> None:
    stage.engine.hold()
    first = await stage.in_state((await stage.ask("busy", stage.bob)).id, JobState.RUNNING)
    job = await stage.ask("1girl")

    async def preview() -> bool:
        message = stage.discord.messages.get(first.message_id)
        return message is not None and [file.filename for file in message.attachments] == ["preview.jpg"]

    await until(preview)
    assert "Next in queue" in (await until(lambda: _text_of(stage, job.message_id)))
    stage.engine.let_go()
    done = await stage.in_state(job.id, JobState.DELIVERED)
    message = stage.discord.messages.get(done.message_id)
    assert done.message_id == job.message_id and message is not None
    assert [file.filename for file in message.attachments] == [f"anima-{job.id}-1.png"]
    assert len(stage.discord.messages_in(stage.general)) == 2


async def test_cancel_does_not_wait_for_an_edit_that_discord_holds_back(stage: Stage) -> None:
    """Its rate limit is over, and discord.py waits inside its lock."""
    stage.engine.hold()
    job = await stage.in_state((await stage.ask("1girl")).id, JobState.RUNNING)
    await until(lambda: _text_of(stage, job.message_id))
    limited = stage.discord.faults.rate_limit("PATCH", "^/webhooks/", 10_000.0)

    async def is_limited() -> bool:
        return limited.hits > 0

    await until(is_limited)
    shown = stage.discord.messages.get(job.message_id)
    assert shown is not None
    await stage.press(shown, "Cancel")
    await stage.in_state(job.id, JobState.CANCELLED)

    async def says_so() -> bool:
        return "Cancelled" in (await _text_of(stage, job.message_id) or "")

    await until(says_so)
    stage.engine.let_go()


async def test_an_error_in_one_jobs_progress_does_not_stop_the_others(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EDIT_INTERVAL", 0.01)
    looked = 0

    def update_messages(messages: StatusMessages) -> None:
        nonlocal looked
        looked += 1
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(StatusMessages, "_update_messages", update_messages)
    await stage.restart()

    async def twice() -> bool:
        return looked > 1

    assert await until(twice)
