"""The queue of jobs: users take turns by credits, and users with much recent use pay more for a turn.

The algorithm is start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996, doi:10.1145/248156.248171). Each user
has a *start*, the moment in virtual time at which their next job may begin; the earliest start goes next, and equal
starts go in order of acceptance. Taking a job advances virtual time to its user's start, and then that start by the
price of the job. A user who joins the queue starts no earlier than the current virtual time, so nobody saves up turns
while away. When the queue is empty, virtual time advances to the latest start, so drawing on an idle machine leaves no
debt.

Shares follow recent use, as in the fair-share schedulers of computing centres (Kay and Lauder, CACM 1988): each credit
advances its user's start by a price between 1 and 2. The price is 1 without recent use, 2 from `DOUBLE_PRICE_AT`
credits of recent use, and linear in between. Recent use halves in each half-life.

A batch is a contiguous part of the fair order. It ends before a job that has another `batch_key` or does not fit, and
once it keeps its engine busy: more jobs would only make the first ones wait. So sharing a batch overtakes nobody,
neither other users nor the same user's earlier jobs, and everyone in it pays as if drawn alone.

Several engines may take from one queue. Which engine draws a job does not change the order in which jobs leave.

Loading another model takes long, so `take` prefers jobs whose models its engine has loaded: it passes over jobs of
other models, if none of them was passed over before. A job is passed over together with its user's later jobs. That
user is not passed over again until their jobs that were ahead of the preferred batch are taken. So *at most one batch
overtakes each job* because of loaded models, each user's jobs keep their order, and preferred jobs pay the usual price.

The queue guarantees the following, except for that one batch and for jobs that return by `put_back`:

- A user who joins without debt waits for the batch in progress and for at most *one job* of each other user, however
  many jobs those have queued. So a flood delays another user by at most one batch: if the batch in progress ends with
  a job of the flood, the newcomer goes before the rest of it.
- While two users both wait, what they pay (credits times price) never differs by more than the most expensive job of
  the one plus that of the other. So no one starves: before a given job is taken, each other user pays at most the
  amount by which the job's start is ahead of virtual time, plus one job.
- The jobs of one user are drawn in order of acceptance. Equal inputs give equal orders.
"""

import asyncio
import time
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from math import exp2, isfinite

from bot.jobs.fairness.price import MICRO, credits_for, micro, price
from bot.jobs.fairness.user_queue import UserQueue

#: How many users' jobs are examined for one position. If more users are ahead, every n-th in turn order stands for n.
#:
#: Users take turns, so neighbours in that order have about the same amount ahead of a given job. The estimate is off
#: by at most a tenth.
MAX_EXACT_USERS = 250
#: How many users' turns a batch may skip for its engine's loaded model.
MAX_SKIPPED_TURNS = 100
#: Seconds after which half of a user's recent use is forgotten.
HALF_LIFE = 3600.0


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A queued job: its cost in credits, and the models that it needs.

    Ids rise in order of acceptance. Jobs with equal `batch_key` can be drawn together and need the same models. Raises
    ValueError for a job that costs nothing or has no image.
    """

    job_id: int
    user_id: int
    cost: float
    images: int
    batch_key: Hashable
    models: tuple[str, ...] = ()
    #: Tokens of one of its images in one pass of the network.
    tokens: int = 0

    def __post_init__(self) -> None:
        if not (isfinite(self.cost) and self.cost > 0):
            raise ValueError(f"Job {self.job_id} costs {self.cost} credits; a queued job must cost more than zero.")
        if self.images < 1:
            raise ValueError(f"Job {self.job_id} asks for {self.images} images; it must ask for one or more.")


@dataclass(frozen=True, slots=True)
class Consumer:
    """What the queue must know about an engine that takes from it.

    loaded: the models that it has loaded; None: any that a job needs.
    swap_seconds: how long loading another model takes.
    full_pass: how many tokens in a batch keep it busy, so that more would save no time; None: unknown.
    """

    seconds_per_credit: float = 0.0
    loaded: frozenset[str] | None = None
    swap_seconds: float = 0.0
    full_pass: int | None = None

    def swaps_for(self, job: QueuedJob) -> int:
        """How many models the engine would have to load for a job."""
        return 0 if self.loaded is None else len(set(job.models) - self.loaded)

    def seconds_for(self, job: QueuedJob) -> float:
        """About how long the engine would take for a job."""
        return job.cost * self.seconds_per_credit + self.swaps_for(job) * self.swap_seconds

    def is_busy_with(self, tokens: int) -> bool:
        """Whether a batch of `tokens` keeps it busy, so that more jobs would only make the others wait."""
        return self.full_pass is not None and tokens >= self.full_pass


#: A consumer without preferences.
ANY_CONSUMER = Consumer()


@dataclass(frozen=True)
class QueuePosition:
    """What will be taken before a job, if nothing joins or leaves the queue. The batch in progress is not counted.

    Exact while at most `MAX_EXACT_USERS` users have jobs ahead of it, otherwise an estimate.
    """

    jobs_ahead: int
    credits_ahead: float


class FairQueue:
    """An index of the waiting jobs in the database. After a start it is rebuilt by `put` for each of them.

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
        self._turns: list[_Turn] = []  # of all users with jobs, the next one first
        self._users: OrderedDict[int, _User] = OrderedDict()  # the longest untouched first
        self._receipts: OrderedDict[int, _Receipt] = OrderedDict()
        self._virtual_time = 0
        self._latest_start = 0
        self._requests: list[_Request] = []  # idle consumers, the latest first
        self._dispatching: asyncio.Handle | None = None
        self._closed = False

    def restore_usage(self, lately: Mapping[int, float]) -> None:
        """Set each user's recent use, in credits drawn; credits of queued jobs do not count.

        Users with queued jobs are skipped, because the queue already tracks their use.
        """
        now = self._clock()
        for user_id, spent in lately.items():
            if user_id in self._users and self._users[user_id].line:
                continue
            self._users[user_id] = _User(self._virtual_time, micro(spent), now, self._half_life)

    async def take(self, consumer: Consumer = ANY_CONSUMER) -> tuple[QueuedJob, ...]:
        """Wait for the next batch. It is empty only if the queue was closed.

        If several consumers wait, the one that would finish the next job soonest gets it. A job with more images than
        the largest batch comes alone. Cancelling `take` loses no job.
        """
        request = _Request(consumer)
        self._requests.insert(0, request)
        self._dispatch()
        try:
            await request.answered.wait()
        except asyncio.CancelledError:
            for job in request.batch:
                self.put_back(job)
            raise
        finally:
            if request in self._requests:
                self._requests.remove(request)
        return request.batch

    def take_now(self, consumer: Consumer = ANY_CONSUMER) -> tuple[QueuedJob, ...]:
        """Like `take`, but returns at once: empty if no job waits."""
        request = _Request(consumer)
        self._requests.insert(0, request)
        self._dispatch()
        if request in self._requests:
            self._requests.remove(request)
        return request.batch

    def put(self, waiting: QueuedJob) -> None:
        """Add a job to its user's jobs, in order of acceptance. Raises ValueError if the job already waits."""
        user = self._user(waiting.user_id)
        if not user.line:
            user.start = max(user.start, self._virtual_time)
        self._join(waiting, user)

    def put_back(self, waiting: QueuedJob) -> None:
        """Return a taken job that was not drawn to its place in the fair order, and refund its price.

        Raises ValueError if the job already waits. A job that was not taken from this queue is added as by `put`.
        """
        receipt = self._receipts.get(waiting.job_id)
        if receipt is None:
            return self.put(waiting)
        user = self._user(waiting.user_id)
        self._join(waiting, user)
        del self._receipts[waiting.job_id]
        user.refund(receipt, micro(waiting.cost), self._clock())
        self._rank(user)

    def remove(self, job_id: int) -> QueuedJob | None:
        """Remove a cancelled job without charging its user. None: it is not in the queue."""
        waiting = self._waiting.pop(job_id, None)
        if waiting is not None:
            user = self._users[waiting.user_id]
            user.line.remove(job_id)
            self._rank(user)
        return waiting

    def position(self, job_id: int) -> QueuePosition | None:
        """How much will be taken before this job, by the current fair order. None: it is not in the queue.

        Costs one binary search, about a microsecond, for each of at most `MAX_EXACT_USERS` users, however many jobs
        they have.
        """
        waiting = self._waiting.get(job_id)
        if waiting is None:
            return None
        now = self._clock()
        mine = self._users[waiting.user_id]
        own_jobs = mine.line.index(job_id)
        start = mine.start_of(own_jobs, now)
        users_ahead = bisect_left(self._turns, (start, job_id))
        stands_for = 1 + max(0, users_ahead - 1) // MAX_EXACT_USERS
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
        return QueuePosition(own_jobs + jobs, (mine.line.cost_of_first(own_jobs) + credit) / MICRO)

    def get(self, job_id: int) -> QueuedJob | None:
        """A queued job. None: it is not in the queue."""
        return self._waiting.get(job_id)

    def of(self, user_id: int) -> tuple[QueuedJob, ...]:
        """A user's waiting jobs, in the order in which they will be drawn."""
        user = self._users.get(user_id)
        return tuple(self._waiting[job_id] for job_id in user.line.job_ids) if user else ()

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._waiting

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Make `take` return no more jobs. Queued jobs stay, also in the database."""
        self._closed = True
        self._dispatch()

    def clear(self) -> None:
        """Forget all waiting jobs, for instance because another bot has taken over the database."""
        for job_id in list(self._waiting):
            self.remove(job_id)

    def _dispatch_soon(self) -> None:
        """Dispatch in the next round of the event loop, so that jobs added at the same time may share a batch."""
        if self._requests and self._dispatching is None:
            self._dispatching = asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        if self._dispatching is not None:
            self._dispatching.cancel()
            self._dispatching = None
        if self._closed:
            for request in self._requests:
                request.answered.set()
            self._requests.clear()
        while self._requests and self._waiting:
            following = self._waiting[self._turns[0][1]]
            request = min(self._requests, key=lambda request: request.consumer.seconds_for(following))
            self._requests.remove(request)
            request.batch = self._next_batch(request.consumer)
            request.answered.set()
        if self._requests and not self._waiting:
            self._virtual_time = max(self._virtual_time, self._latest_start)

    def _next_batch(self, consumer: Consumer) -> tuple[QueuedJob, ...]:
        now = self._clock()
        batch: list[QueuedJob] = []
        images, tokens, at = 0, 0, self._first_preferred(consumer)
        passed_over, overtaken = [user for _, _, user in self._turns[:at]], 0
        while at < len(self._turns):
            start, job_id, user = self._turns[at]
            following = self._waiting[job_id]
            fits = not batch or (images + following.images <= self._largest_batch and not consumer.is_busy_with(tokens))
            if fits and (not batch or following.batch_key == batch[0].batch_key):
                last_taken, overtaken = (start, job_id), len(passed_over)
                images += following.images
                tokens += following.images * following.tokens
                self._charge(following, now)
                batch.append(following)
            elif fits and self._may_be_skipped(self._turns[at], consumer) and at < MAX_SKIPPED_TURNS:
                passed_over.append(user)
                at += 1
            else:
                break
        for user in passed_over[:overtaken]:
            user.passed_over_until = max(user.passed_over_until, last_taken)
        self._forget(now)
        return tuple(batch)

    def _first_preferred(self, consumer: Consumer) -> int:
        """The first turn whose model the consumer has loaded; 0, the front, if it may not prefer any."""
        for index, turn in enumerate(self._turns[:MAX_SKIPPED_TURNS]):
            if not consumer.swaps_for(self._waiting[turn[1]]):
                return index
            if not self._may_be_skipped(turn, consumer):
                break
        return 0

    def _may_be_skipped(self, turn: "_Turn", consumer: Consumer) -> bool:
        start, job_id, user = turn
        return consumer.swaps_for(self._waiting[job_id]) > 0 and (start, job_id) >= user.passed_over_until

    def _charge(self, waiting: QueuedJob, now: float) -> None:
        self._virtual_time = max(self._virtual_time, self._turns[0][0])  # held back by a job that is passed over
        del self._waiting[waiting.job_id]
        user = self._users[waiting.user_id]
        self._users.move_to_end(waiting.user_id)
        user.line.remove(waiting.job_id)
        self._receipts[waiting.job_id] = user.charge(micro(waiting.cost), now)
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
        user.line.insert(waiting.job_id, micro(waiting.cost))
        self._rank(user)
        self._dispatch_soon()

    def _rank(self, user: "_User") -> None:
        """Move a user whose first job or start has changed to the right place in the order."""
        turn = (user.start, user.line.job_ids[0], user) if user.line else None
        if turn == user.turn:
            return
        if user.turn is not None:
            del self._turns[bisect_left(self._turns, user.turn)]
        if turn is not None:
            insort(self._turns, turn)
        user.turn = turn

    def _forget(self, now: float) -> None:
        """Bound the memory: drop old receipts, and users without jobs and recent use."""
        while len(self._receipts) > _MAX_RECEIPTS:
            self._receipts.popitem(last=False)
        for user_id in [user_id for user_id, _ in zip(self._users, range(2), strict=False)]:
            user = self._users[user_id]
            if not user.line and user.used_by(now) == 0:
                del self._users[user_id]


_NEVER = (-1, -1)
_MAX_RECEIPTS = 1024  # far more jobs than all workers have at a time


@dataclass(eq=False)
class _Request:
    """A consumer that waits for a batch."""

    consumer: Consumer
    batch: tuple[QueuedJob, ...] = ()
    answered: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class _Receipt:
    """By how much a taken job advanced its user's start, and when."""

    paid: int
    at: float


class _User:
    """One user's queued jobs (`line`), start and recent use. Credits and virtual time are in millionths."""

    __slots__ = ("half_life", "line", "passed_over_until", "start", "turn", "usage", "used_at")

    def __init__(self, start: int, usage: int, now: float, half_life: float) -> None:
        self.start = start
        self.usage = usage
        self.used_at = now
        self.half_life = half_life
        self.line = UserQueue()
        self.turn: _Turn | None = None
        self.passed_over_until = _NEVER  # the start and job that their jobs were last passed over for

    def used_by(self, now: float) -> int:
        return int(self.usage * exp2((self.used_at - now) / self.half_life))

    def charge(self, cost: int, now: float) -> _Receipt:
        usage = self.used_by(now)
        paid = price(usage + cost) - price(usage)
        self.start += paid
        self.usage, self.used_at = usage + cost, now
        return _Receipt(paid, now)

    def refund(self, receipt: _Receipt, cost: int, now: float) -> None:
        self.start -= receipt.paid
        self.usage = max(0, self.used_by(now) - int(cost * exp2((receipt.at - now) / self.half_life)))
        self.used_at = now

    def start_of(self, index: int, now: float) -> int:
        """When, in virtual time, the user's job at `index` may begin."""
        usage = self.used_by(now)
        return self.start + price(usage + self.line.cost_of_first(index)) - price(usage)

    def before(self, start: int, job_id: int, now: float) -> tuple[int, int]:
        """How many of the user's jobs go before another user's job with this `start` and id, and their total cost.

        The first must go before it. Every request for a position calls this for many users, so it must be fast.
        """
        bounds = self.line.bounds
        first = bounds[0]
        count = len(bounds) - 1
        if count > 1:
            bound = first + credits_for(start - self.start, self.used_by(now))
            if bounds[-1] > bound:
                count = bisect_left(bounds, bound)
                if bounds[count] == bound and self.line.job_ids[count] < job_id and self.start_of(count, now) == start:
                    count += 1
        return count, bounds[count] - first


#: A user's start, first job, and the user. No two users share a first job, so `_User` objects are never compared.
_Turn = tuple[int, int, _User]
