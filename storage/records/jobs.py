"""Jobs as the rest of the project sees them, and the results of accepting one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

from storage.quotas import Account, Usage
from storage.schema import JobState

LIVE = frozenset({JobState.QUEUED, JobState.RUNNING, JobState.RENDERED})

COMES_FROM: Mapping[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING}),
    JobState.RUNNING: frozenset({JobState.QUEUED}),
    JobState.RENDERED: frozenset({JobState.RUNNING}),
    JobState.DELIVERED: frozenset({JobState.RENDERED}),
    JobState.CANCELLED: LIVE,
    JobState.FAILED: LIVE,
    JobState.REFUSED: LIVE,
}

#: For how long after its end a job's user is notified, if that was not possible before. Later nobody waits for it, and
#: each attempt would ask Discord for what it has refused.
MAX_NOTIFY_AGE = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """A job to be accepted. `guild_id` is None outside of servers; `parameters` is JSON that only the bot reads."""

    interaction_id: int
    user_id: int
    channel_id: int
    kind: str
    cost: float
    prompt: str = field(repr=False)
    negative_prompt: str = field(default="", repr=False)
    parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)
    guild_id: int | None = None
    message_id: int | None = None
    parent_picture_id: int | None = None
    interaction_token: str | None = field(default=None, repr=False)
    token_expires_at: datetime | None = None
    private: bool = False
    spoiler: bool = False
    locale: str = "en-US"

    @property
    def account(self) -> Account:
        return Account(self.user_id, self.guild_id)


@dataclass(frozen=True, kw_only=True)
class Job(NewJob):
    """`attempts` counts starts. `notified`: whether the user has seen how it ended.

    `reposted`: its images were, or may have been, posted in another message than its own.
    """

    id: int
    state: JobState
    attempts: int
    reason: str | None = field(repr=False)
    ended_by: int | None
    notified: bool
    queued_at: datetime
    started_at: datetime | None
    rendered_at: datetime | None
    finished_at: datetime | None
    reposted: bool = False

    @property
    def is_private_message(self) -> bool:
        """Whether a delivered job's images are in a private message of the bot's, which it reaches as long as it is."""
        return self.reposted and self.guild_id is None


@dataclass(frozen=True)
class Allowance:
    """The limits of an account: credits in 24 hours, and queued jobs at a time. None: no limit."""

    credits: float | None = None
    waiting: int | None = None


@dataclass(frozen=True)
class Accepted:
    job: Job


@dataclass(frozen=True)
class AlreadyAccepted:
    """The interaction already has a job; nothing was written or charged."""

    job: Job


@dataclass(frozen=True)
class TooManyWaiting:
    waiting: int
    limit: int


@dataclass(frozen=True)
class OverQuota:
    """`room_at`: when the quota has room for the job. None: never."""

    spent: float
    cost: float
    limit: float
    room_at: datetime | None

    @classmethod
    def of(cls, usage: Usage, cost: float, limit: float) -> Self:
        return cls(usage.spent, cost, limit, usage.room_at(cost, limit))


@dataclass(frozen=True)
class Unfinished:
    """What a restart has to continue: jobs to draw, in order; jobs to deliver; ended jobs to notify of."""

    waiting: tuple[Job, ...]
    undelivered: tuple[Job, ...]
    unnotified: tuple[Job, ...]


@dataclass(frozen=True)
class QueueSummary:
    """The number of unfinished jobs in each state, and when the oldest queued job was accepted."""

    live: Mapping[JobState, int]
    oldest_queued_at: datetime | None
