"""However many images could not be sent during an outage, few are in memory and on their way at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.jobs.delivery import outbox as outboxes
from bot.jobs.delivery.outbox import Outbox
from storage.jobs import Job
from tests.bot.harness import TIMEOUT
from tests.bot.jobs.delivery.jobs import a_job


class Sending:
    """Stands where delivery does. Counts what is being sent; while Discord is down, every attempt fails."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.sent: list[int] = []
        self.answers = asyncio.Event()
        self.is_down = False

    async def deliver(self, job: Job, *, unsettled: bool = False) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.answers.wait()
            if self.is_down:
                raise ConnectionResetError("the line is cut")
            self.sent.append(job.id)
        finally:
            self.now -= 1

    async def report_failure(self, job: Job, reason: str) -> None:
        await self.deliver(job)


class SilentProgress:
    """Stands where progress does."""

    async def end(self, job_id: int) -> bool:
        return True

    def spoke(self, job_id: int, shown: bool) -> None:
        pass


def an_outbox(sending: Sending) -> Outbox:
    database: Any = None
    return Outbox(database, sending, SilentProgress())  # type: ignore[arg-type]


async def a_moment() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_a_restart_finds_goes_out_a_few_at_a_time_and_what_is_new_at_once() -> None:
    sending = Sending()
    outbox = an_outbox(sending)
    for job_id in range(0, 200, 2):
        outbox.deliver_later(a_job(job_id), overdue=True)
        outbox.report_failure_later(a_job(job_id + 1), "a reason", overdue=True)
    await a_moment()
    assert sending.now == outboxes.MAX_CONCURRENT_RETRIES
    outbox.deliver_later(a_job(1000))
    await a_moment()
    assert sending.now == outboxes.MAX_CONCURRENT_RETRIES + 1
    sending.answers.set()
    await asyncio.wait_for(outbox.drain(), TIMEOUT)
    assert sorted(sending.sent) == [*range(200), 1000]


async def test_so_does_what_could_not_be_sent_during_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outboxes, "MIN_RETRY_DELAY", 0.01)
    sending = Sending()
    sending.is_down = True
    outbox = an_outbox(sending)
    sending.answers.set()
    for job_id in range(200):
        outbox.deliver_later(a_job(job_id))
    await a_moment()
    sending.answers.clear()
    sending.is_down, sending.most = False, 0
    while sending.now < outboxes.MAX_CONCURRENT_RETRIES:
        await asyncio.sleep(0.01)
    await outbox.drop(199)
    sending.answers.set()
    await asyncio.wait_for(outbox.drain(), TIMEOUT)
    assert sorted(sending.sent) == list(range(199)) and sending.most == outboxes.MAX_CONCURRENT_RETRIES
