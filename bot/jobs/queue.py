"""The queue of jobs: users take turns by credits, and those who drew a lot lately pay more for a turn.

The discipline is start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996, doi:10.1145/248156.248171). Each user
has a *start*, the moment in virtual time at which their next job may begin; the earliest start goes next, and equal
starts go in order of acceptance. Taking a job moves virtual time up to its user's start, and then that start on by what
the job costs. A user who joins the line starts no earlier than the present virtual time, so being away saves up
nothing; and when the line has run empty, virtual time moves up to every start, so drawing on an idle machine owes
nothing.

Shares follow recent use, as in the fair-share schedulers of computing centres (Kay and Lauder, CACM 1988): a credit
moves its user's start on by a price between 1 and 2. The price is 1 for one who drew nothing, 2 from `DOUBLE_PRICE_AT`
credits of recent use on, and straight between. Use fades by half in each half-life.

A batch is a stretch of the fair order, cut where a job has another `batch_key` or no longer fits. Sharing a batch
therefore overtakes nobody, neither other users nor one's own earlier jobs, and everyone in it pays as if drawn alone.

What this promises, leaving aside jobs that come back by `put_back`:

- One who joins the line owing nothing waits for the batch in progress and for at most *one job* of each other user,
  however many those have waiting. So a flood delays another by at most one batch: if the batch in
  progress ends with a job of the flood, the newcomer goes before the rest of it.
- While two users both wait, what they pay (credits times price) never differs by more than the dearest job of the one
  plus the dearest job of the other. So no one starves: before a given job is taken, each other user pays at most what
  its start is ahead of virtual time, plus one job.
- The jobs of one user are drawn in order of acceptance. Equal inputs give equal orders.
"""

import asyncio
import time
from array import array
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from math import exp2, isfinite, isqrt

import numpy as np

#: Credits of recent use from which on a credit counts twice.
DOUBLE_PRICE_AT = 32.0
#: Users whose lines are looked into for one place. Where more go before, every n-th in the order of turns stands for n.
#:
#: They take turns, so those who follow one another in that order have about the same ahead of a given job, and the
#: estimate is good to a tenth or better.
MAX_ASKED = 250
#: Seconds after which half of somebody's recent use is forgotten.
HALF_LIFE = 3600.0


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A queued job, which costs so many credits to draw.

    Ids rise in order of acceptance. Jobs of equal `batch_key` can be drawn together. Raises ValueError for a job that
    costs nothing or asks for no image.
    """

    job_id: int
    user_id: int
    cost: float
    images: int
    batch_key: Hashable

    def __post_init__(self) -> None:
        if not (isfinite(self.cost) and self.cost > 0):
            raise ValueError(f"Job {self.job_id} costs {self.cost} credits; a queued job must cost more than zero.")
        if self.images < 1:
            raise ValueError(f"Job {self.job_id} asks for {self.images} images; it must ask for one or more.")


@dataclass(frozen=True)
class QueuePosition:
    """What will be taken before a job, if nothing joins or leaves the line. The batch in progress is not counted.

    Exact while at most `MAX_ASKED` users have something ahead of the job, and estimated beyond.
    """

    jobs_ahead: int
    credits_ahead: float


class FairQueue:
    """An index over the waiting jobs that the database owns; build it again by `put` for each of them.

    `half_life` is in seconds of `clock`, which never runs backwards.
    """

    def __init__(
        self,
        largest_batch: int,
        *,
        half_life: float = HALF_LIFE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if largest_batch < 1:
            raise ValueError(f"The largest batch is {largest_batch} images; it must be one or more.")
        self._largest_batch = largest_batch
        self._half_life = half_life
        self._clock = clock
        self._waiting: dict[int, QueuedJob] = {}
        self._turns: list[_Turn] = []  # of everyone who waits, the next one first
        self._users: OrderedDict[int, _User] = OrderedDict()  # the longest untouched first
        self._receipts: OrderedDict[int, _Receipt] = OrderedDict()
        self._virtual_time = 0
        self._latest_start = 0
        self._closed = False
        self._news = asyncio.Event()

    def restore_usage(self, lately: Mapping[int, float]) -> None:
        """For an empty queue: what each user has used already, in credits drawn, not those that are only reserved."""
        now = self._clock()
        for user_id, spent in lately.items():
            self._users[user_id] = _User(self._virtual_time, _micro(spent), now, self._half_life)

    async def take(self) -> tuple[QueuedJob, ...]:
        """The next batch, once there is one: never empty, unless the queue was closed. For one consumer.

        A job of more images than the largest batch comes alone. Cancelling a `take` loses no job.
        """
        while not self._closed:
            if self._waiting:
                return self._next_batch()
            self._virtual_time = max(self._virtual_time, self._latest_start)
            self._news.clear()
            await self._news.wait()
        return ()

    def put(self, waiting: QueuedJob) -> None:
        """Joins its user's jobs, in order of acceptance. Raises ValueError if the job already waits."""
        user = self._user(waiting.user_id)
        if not user.line:
            user.start = max(user.start, self._virtual_time)
        self._join(waiting, user)

    def put_back(self, waiting: QueuedJob) -> None:
        """A taken job that was not drawn: to where it was in the fair order, and what it paid is returned.

        Raises ValueError if the job already waits. A job that this queue did not give out is simply `put`.
        """
        receipt = self._receipts.get(waiting.job_id)
        if receipt is None:
            return self.put(waiting)
        user = self._user(waiting.user_id)
        self._join(waiting, user)
        del self._receipts[waiting.job_id]
        user.refund(receipt, _micro(waiting.cost), self._clock())
        self._rank(user)

    def remove(self, job_id: int) -> QueuedJob | None:
        """Takes a cancelled job out of the line, free of charge. None: it does not wait here."""
        waiting = self._waiting.pop(job_id, None)
        if waiting is not None:
            user = self._users[waiting.user_id]
            user.line.remove(job_id)
            self._rank(user)
        return waiting

    def position(self, job_id: int) -> QueuePosition | None:
        """How much is taken before this job, by the fair order as it is now. None: it does not wait here.

        Takes a binary search, about a microsecond, for each of at most `MAX_ASKED` users, however many jobs they have.
        """
        waiting = self._waiting.get(job_id)
        if waiting is None:
            return None
        now = self._clock()
        mine = self._users[waiting.user_id]
        own_jobs = mine.line.index(job_id)
        start = mine.start_of(own_jobs, now)
        users_ahead = bisect_left(self._turns, (start, job_id))
        stands_for = 1 + max(0, users_ahead - 1) // MAX_ASKED
        jobs = credit = asked = 0
        for _, _, user in self._turns[:users_ahead:stands_for]:
            if user is not mine:
                their_jobs, their_credit = user.before(start, job_id, now)
                jobs += their_jobs
                credit += their_credit
                asked += 1
        if stands_for > 1:
            others = users_ahead - (own_jobs > 0)
            jobs, credit = round(jobs * others / asked), round(credit * others / asked)
        return QueuePosition(own_jobs + jobs, (mine.line.cost_of_first(own_jobs) + credit) / _MICRO)

    def of(self, user_id: int) -> tuple[QueuedJob, ...]:
        """A user's waiting jobs, in the order in which they will be drawn."""
        user = self._users.get(user_id)
        return tuple(self._waiting[job_id] for job_id in user.line.job_ids) if user else ()

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._waiting

    def close(self) -> None:
        """`take` gives nothing more. What waits stays, in the database too."""
        self._closed = True
        self._news.set()

    def _next_batch(self) -> tuple[QueuedJob, ...]:
        now = self._clock()
        batch: list[QueuedJob] = []
        images = 0
        while self._turns:
            following = self._waiting[self._turns[0][1]]
            images += following.images
            if batch and (following.batch_key != batch[0].batch_key or images > self._largest_batch):
                break
            self._charge(following, now)
            batch.append(following)
        self._forget(now)
        return tuple(batch)

    def _charge(self, waiting: QueuedJob, now: float) -> None:
        del self._waiting[waiting.job_id]
        user = self._users[waiting.user_id]
        self._users.move_to_end(waiting.user_id)
        self._virtual_time = max(self._virtual_time, user.start)
        user.line.remove(waiting.job_id)
        self._receipts[waiting.job_id] = user.charge(_micro(waiting.cost), now)
        self._latest_start = max(self._latest_start, user.start)
        self._rank(user)

    def _user(self, user_id: int) -> "_User":
        user = self._users.get(user_id)
        if user is None:
            user = self._users[user_id] = _User(self._virtual_time, 0, self._clock(), self._half_life)
        return user

    def _join(self, waiting: QueuedJob, user: "_User") -> None:
        if waiting.job_id in self._waiting:
            raise ValueError(f"Job {waiting.job_id} is already queued; it was put there twice.")
        self._waiting[waiting.job_id] = waiting
        user.line.insert(waiting.job_id, _micro(waiting.cost))
        self._rank(user)
        self._news.set()

    def _rank(self, user: "_User") -> None:
        """Puts a user whose first job or start has changed at the right place among those who wait."""
        turn = (user.start, user.line.job_ids[0], user) if user.line else None
        if turn == user.turn:
            return
        if user.turn is not None:
            del self._turns[bisect_left(self._turns, user.turn)]
        if turn is not None:
            insort(self._turns, turn)
        user.turn = turn

    def _forget(self, now: float) -> None:
        """Keeps memory flat: drops receipts no one will show any more, and users of whom nothing is left to know."""
        while len(self._receipts) > _RECEIPTS_KEPT:
            self._receipts.popitem(last=False)
        for user_id in [user_id for user_id, _ in zip(self._users, range(2), strict=False)]:
            user = self._users[user_id]
            if not user.line and user.used_by(now) == 0:
                del self._users[user_id]


_MICRO = 1_000_000  # sums are in whole millionths of a credit, so that they are exact in any order
_RECEIPTS_KEPT = 1024  # far more jobs than one worker has in hand


def _micro(credit: float) -> int:
    return max(1, round(credit * _MICRO))


@dataclass(frozen=True, slots=True)
class _Receipt:
    """What a taken job moved its user's start on by, and when."""

    paid: int
    at: float


class _User:
    """One user's line, start and recent use. Credits are in millionths, and so is virtual time."""

    __slots__ = ("half_life", "line", "start", "turn", "usage", "used_at")

    def __init__(self, start: int, usage: int, now: float, half_life: float) -> None:
        self.start = start
        self.usage = usage
        self.used_at = now
        self.half_life = half_life
        self.line = _Line()
        self.turn: _Turn | None = None

    def used_by(self, now: float) -> int:
        return int(self.usage * exp2((self.used_at - now) / self.half_life))

    def charge(self, cost: int, now: float) -> _Receipt:
        usage = self.used_by(now)
        paid = _price(usage + cost) - _price(usage)
        self.start += paid
        self.usage, self.used_at = usage + cost, now
        return _Receipt(paid, now)

    def refund(self, receipt: _Receipt, cost: int, now: float) -> None:
        self.start -= receipt.paid
        self.usage = max(0, self.used_by(now) - int(cost * exp2((receipt.at - now) / self.half_life)))
        self.used_at = now

    def start_of(self, index: int, now: float) -> int:
        """When, in virtual time, the job at `index` of the line may begin."""
        usage = self.used_by(now)
        return self.start + _price(usage + self.line.cost_of_first(index)) - _price(usage)

    def before(self, start: int, job_id: int, now: float) -> tuple[int, int]:
        """How many jobs of the line go before another user's job of that `start` and id, given that the first does, and
        what they cost together. It runs for many users whenever someone asks for their place, hence without detours.
        """
        bounds = self.line.bounds
        first = bounds[0]
        count = len(bounds) - 1
        if count > 1:
            bound = first + _credits_for(start - self.start, self.used_by(now))
            if bounds[-1] > bound:
                count = bisect_left(bounds, bound)
                if bounds[count] == bound and self.line.job_ids[count] < job_id and self.start_of(count, now) == start:
                    count += 1
        return count, bounds[count] - first


#: A user's start and first job, which no two users share, so that users themselves are never compared.
_Turn = tuple[int, int, _User]

_DOUBLE_PRICE_AT = _micro(DOUBLE_PRICE_AT)


def _price(usage: int) -> int:
    """What the first `usage` credits cost together: the integral of a price that climbs from 1 to 2, then stays."""
    if usage < _DOUBLE_PRICE_AT:
        return usage + usage * usage // (2 * _DOUBLE_PRICE_AT)
    return 2 * usage - _DOUBLE_PRICE_AT // 2


_SLOPE_ENDS_AT = _price(_DOUBLE_PRICE_AT)


def _credits_for(paid: int, usage: int) -> int:
    """The least credits that cost `paid` or more together, after `usage`: `_price` the other way round, exactly."""
    if usage >= _DOUBLE_PRICE_AT:
        return (paid + 1) // 2
    paid += _price(usage)
    if paid < _SLOPE_ENDS_AT:
        return isqrt(_DOUBLE_PRICE_AT * (_DOUBLE_PRICE_AT + 2 * paid) - 1) + 1 - _DOUBLE_PRICE_AT - usage
    return (paid + _DOUBLE_PRICE_AT // 2 + 1) // 2 - usage


class _Line:
    """One user's waiting jobs in order of acceptance, with running sums of their cost.

    `bounds[i]` is the cost of all jobs before job i, counted from `bounds[0]`, which may be any number: so a job can
    leave or come back at the front without a change to the rest.
    """

    __slots__ = ("bounds", "job_ids")

    def __init__(self) -> None:
        self.job_ids = array("q")
        self.bounds = array("q", [0])

    def __len__(self) -> int:
        return len(self.job_ids)

    def index(self, job_id: int) -> int:
        return bisect_left(self.job_ids, job_id)

    def insert(self, job_id: int, cost: int) -> None:
        index = self.index(job_id)
        self.job_ids.insert(index, job_id)
        if index == 0:
            self.bounds.insert(0, self.bounds[0] - cost)
        else:
            self.bounds.insert(index, self.bounds[index])
            self._shift(index + 1, cost)

    def remove(self, job_id: int) -> None:
        index = self.index(job_id)
        cost = self.bounds[index + 1] - self.bounds[index]
        del self.job_ids[index], self.bounds[index]
        if index > 0:
            self._shift(index, -cost)

    def cost_of_first(self, count: int) -> int:
        return self.bounds[count] - self.bounds[0]

    def _shift(self, index: int, cost: int) -> None:
        np.frombuffer(self.bounds, dtype=np.int64)[index:] += cost
