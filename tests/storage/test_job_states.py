"""Any sequence of events, also two at once on one job, against a model that is nothing but DESIGN.md's arrows."""

import asyncio
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from storage.database import Database
from storage.jobs import Accepted, Allowance
from storage.quotas import WINDOW, Account
from tests.storage.requests import ADMIN, ALICE, BOB, CHANNEL, GUILD, MESSAGE, an_image, an_imagine
from tests.storage.rules import broken_rules

ARROWS = {
    "start": ({"queued"}, "running"),
    "put_back": ({"running"}, "queued"),
    "rendered": ({"running"}, "rendered"),
    "delivered": ({"rendered"}, "delivered"),
    "cancel": ({"queued", "running", "rendered"}, "cancelled"),
    "fail": ({"queued", "running", "rendered"}, "failed"),
    "refuse": ({"queued", "running", "rendered"}, "refused"),
}
EVENTS = st.sampled_from(sorted(ARROWS))
ACCOUNTS = st.builds(Account, st.sampled_from([ALICE, BOB]), st.sampled_from([GUILD, None]))
COSTS = st.integers(1, 3000).map(lambda thousandths: thousandths / 1000)
QUOTA = 6.0


@dataclass(frozen=True)
class Expected:
    account: Account
    cost: float
    at: datetime
    state: str = "queued"

    def after(self, event: str) -> "Expected | None":
        """None where the event comes in no state that it may come in."""
        sources, target = ARROWS[event]
        return replace(self, state=target) if self.state in sources else None

    @property
    def spent(self) -> float:
        return 0.0 if self.state in ("cancelled", "failed", "refused") else self.cost


class WalksOfJobs(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.now = datetime(2026, 8, 1, 12, tzinfo=UTC)
        self.expected: dict[int, Expected] = {}
        self.database = self.wait_for(
            Database.open(f"sqlite:///{Path(self.folder.name) / 'anima.db'}", lambda: self.now)
        )

    def teardown(self) -> None:
        self.wait_for(self.database.close())
        self.runner.close()
        self.folder.cleanup()

    def wait_for(self, answer: Any) -> Any:
        return self.runner.run(answer)

    async def happen(self, event: str, job_id: int) -> bool:
        jobs = self.database.jobs
        match event:
            case "start":
                return [job.id for job in await jobs.start([job_id])] == [job_id]
            case "put_back":
                return await jobs.put_back([job_id]) == (job_id,)
            case "rendered":
                return await jobs.rendered(job_id, [an_image(0), an_image(1)]) is not None
            case "delivered":
                return await jobs.delivered(job_id, channel_id=CHANNEL, message_id=MESSAGE, attachments={0: 1, 1: 2})
            case "cancel":
                return await jobs.cancel(job_id, by=ADMIN)
            case _:
                return bool(await getattr(jobs, event)(job_id, "a reason"))

    def spent(self, account: Account) -> float:
        recent = [job for job in self.expected.values() if job.account == account and job.at > self.now - WINDOW]
        return round(sum(job.spent for job in recent), 3)

    @rule(account=ACCOUNTS, cost=COSTS)
    def accept(self, account: Account, cost: float) -> None:
        asked = an_imagine(user_id=account.user_id, guild_id=account.guild_id, cost=cost)
        verdict = self.wait_for(self.database.jobs.accept(asked, Allowance(credits=QUOTA)))
        assert isinstance(verdict, Accepted) == (round(self.spent(account) + cost, 3) <= QUOTA)
        if isinstance(verdict, Accepted):
            self.expected[verdict.job.id] = Expected(account, cost, self.now)

    @precondition(lambda self: self.expected)
    @rule(data=st.data(), event=EVENTS)
    def one_event(self, data: st.DataObject, event: str) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.expected)))
        after = self.expected[job_id].after(event)
        assert self.wait_for(self.happen(event, job_id)) == (after is not None)
        self.expected[job_id] = after or self.expected[job_id]

    @precondition(lambda self: self.expected)
    @rule(data=st.data(), events=st.tuples(EVENTS, EVENTS))
    def two_events_at_once(self, data: st.DataObject, events: tuple[str, str]) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.expected)))

        async def both() -> tuple[bool, bool]:
            return await asyncio.gather(*(self.happen(event, job_id) for event in events))  # type: ignore[return-value]

        won = tuple(self.wait_for(both()))
        outcomes = [self.in_turn(job_id, events, (0, 1)), self.in_turn(job_id, events, (1, 0))]
        state = self.wait_for(self.database.jobs.get(job_id)).state
        matching = [after for wins, after in outcomes if wins == won and after.state == state]
        assert matching, f"{events} gave {won} and {state}, which no order of the two explains"
        self.expected[job_id] = matching[0]

    def in_turn(
        self, job_id: int, events: tuple[str, str], order: tuple[int, int]
    ) -> tuple[tuple[bool, ...], Expected]:
        job, wins = self.expected[job_id], [False, False]
        for place in order:
            after = job.after(events[place])
            wins[place], job = after is not None, after or job
        return tuple(wins), job

    @rule(hours=st.integers(1, 30))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule()
    def a_restart(self) -> None:
        found = self.wait_for(self.database.jobs.requeue_interrupted())
        for job_id, job in self.expected.items():
            self.expected[job_id] = job.after("put_back") or job
        assert [job.id for job in found.waiting] == self.ids_in("queued")
        assert [job.id for job in found.undelivered] == self.ids_in("rendered")

    def ids_in(self, state: str) -> list[int]:
        return sorted(job_id for job_id, job in self.expected.items() if job.state == state)

    @invariant()
    def every_job_is_where_it_should_be(self) -> None:
        for job_id, job in self.expected.items():
            assert self.wait_for(self.database.jobs.get(job_id)).state == job.state

    @invariant()
    def every_credit_is_where_it_should_be(self) -> None:
        for account in {job.account for job in self.expected.values()}:
            assert self.wait_for(self.database.quotas.usage(account)).spent == self.spent(account) <= QUOTA

    @invariant()
    def no_rule_is_broken(self) -> None:
        assert self.wait_for(broken_rules(self.database)) == []


WalksOfJobs.TestCase.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
TestWalksOfJobs = WalksOfJobs.TestCase
