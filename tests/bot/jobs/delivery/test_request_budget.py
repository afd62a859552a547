"""Discord's 50 requests a second: what counts, who goes first, and that nothing is refused for them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from discord.http import Route
from yarl import URL

from bot.jobs.delivery import request_budget
from bot.jobs.delivery.request_budget import RequestBudget, Urgency, counts
from bot.sandbox import RateLimits
from bot.sandbox.server.limits.rate_limits import Limit
from storage.schema import JobState
from tests.bot.conftest import checked_standin
from tests.bot.harness import TIMEOUT, Stage
from tests.bot.jobs.virtual_engines import in_virtual_time

RESULT, OTHER, PROGRESS = Urgency


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three requests in a tenth of a second, of which progress may use one."""
    monkeypatch.setattr(request_budget, "LIMITS", {RESULT: 3, OTHER: 2, PROGRESS: 1})
    monkeypatch.setattr(request_budget, "PERIOD", 0.1)


async def order_of(*urgencies: Urgency) -> list[Urgency]:
    """In which order these are let go that ask at the same time while nothing is left."""
    budget, went = RequestBudget(), []
    for _ in range(3):
        await budget.spend(RESULT)

    async def ask(urgency: Urgency) -> None:
        await budget.spend(urgency)
        went.append(urgency)

    async with asyncio.timeout(TIMEOUT):
        await asyncio.gather(*map(ask, urgencies))
    return went


@pytest.mark.usefixtures("few")
async def test_results_go_first_and_progress_last() -> None:
    asked = (PROGRESS, OTHER, RESULT, PROGRESS, OTHER, RESULT, RESULT)
    assert await order_of(*asked) == sorted(asked)


@pytest.mark.usefixtures("few")
def test_no_more_are_sent_in_one_period_than_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[float] = []

    async def ten() -> None:
        budget, loop = RequestBudget(), asyncio.get_running_loop()
        monkeypatch.setattr(request_budget, "time", SimpleNamespace(monotonic=loop.time))

        async def ask() -> None:
            await budget.spend(RESULT)
            sent.append(loop.time())

        await asyncio.gather(*(ask() for _ in range(10)))

    in_virtual_time(ten)
    assert [round(at, 6) for at in sent] == [0.0] * 3 + [0.1] * 3 + [0.2] * 3 + [0.3]


@pytest.mark.usefixtures("few")
async def test_progress_leaves_room_for_results() -> None:
    budget = RequestBudget()
    await budget.spend(PROGRESS)
    second = asyncio.create_task(budget.spend(PROGRESS))
    await asyncio.sleep(0)
    await budget.spend(RESULT)
    await budget.spend(RESULT)
    assert not second.done(), "neither result had to wait, for all the progress that there is"
    await second


@pytest.mark.usefixtures("few")
async def test_progress_that_is_dropped_while_it_waits_takes_nothing() -> None:
    budget = RequestBudget()
    await budget.spend(PROGRESS)
    stale = [asyncio.create_task(budget.spend(PROGRESS)) for _ in range(50)]
    await asyncio.sleep(0)
    for task in stale:
        task.cancel()
    begun = asyncio.get_running_loop().time()
    await asyncio.wait_for(budget.spend(PROGRESS), TIMEOUT)
    assert len(budget._sent) == 1 and asyncio.get_running_loop().time() - begun < 50 * 0.1


def test_requests_by_an_interactions_token_do_not_count() -> None:
    for path, counted in (
        ("/channels/1/messages/2", True),
        ("/users/@me/guilds?limit=1", True),
        ("/interactions/1/token/callback", False),
        ("/webhooks/1/token/messages/@original", False),
        ("/webhooks/1", True),
    ):
        assert counts(URL(Route.BASE + path)) is counted
    assert not counts(URL("https://cdn.discordapp.com/attachments/1/2/3.png"))


async def test_the_bot_is_never_refused_for_the_limit_of_the_whole_bot(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(request_budget, "LIMITS", {RESULT: 4, OTHER: 4, PROGRESS: 2})
    limits = replace(RateLimits(), whole_bot=Limit(5, 1.0))
    async with checked_standin(monkeypatch, limits=limits) as standin:
        stage = Stage(standin, tmp_path)
        await stage.start()
        for user in 2 * (stage.alice, stage.bob, stage.emi, standin.world.owner):
            await stage.client.fetch_user(user.id)
        job = await stage.ask("1girl")
        await stage.in_state(job.id, JobState.DELIVERED)
        assert [request for request in standin.request_log.requests if request.status == 429] == []
        await stage.stop()
