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

A batch is a stretch of the fair order, cut where a job has another `batch_key` or no longer fits, and where the engine
that takes it is busy with what it has: more would only make the first ones wait. Sharing a batch therefore overtakes
nobody, neither other users nor one's own earlier jobs, and everyone in it pays as if drawn alone.

Several engines may take from one queue. Who draws a job changes nothing about the order in which jobs leave.

Loading another model takes an engine long, so `take` prefers jobs whose model its engine has loaded: it passes over
jobs of other models, where none of them was passed over before. A job is passed over with all that stands behind it in
its user's line, until as much as stood before the preferred batch has been taken. So *each job is overtaken by at most
one batch* for the sake of what is loaded, each user's jobs keep their order, and whoever is preferred pays as always.

What this promises, leaving aside jobs that come back by `put_back`, and that one batch:

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
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from math import exp2, isfinite

from bot.jobs.fairness.price import MICRO, credits_for, micro, price
from bot.jobs.fairness.user_queue import UserQueue

#: How many users' lines are examined for one position. If more are ahead, every n-th in turn order stands for n.
#:
#: They take turns, so neighbours in that order have about the same amount ahead of a given job, and the
#: estimate is good to a tenth or better.
MAX_EXACT_USERS = 250
#: How many users' turns a batch may skip for its engine's loaded model.
MAX_SKIPPED_TURNS = 100
#: Seconds after which half of somebody's recent use is forgotten.
HALF_LIFE = 3600.0


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A queued job, which costs so many credits to draw, with these models.

    Ids rise in order of acceptance. Jobs of equal `batch_key` can be drawn together, and need the same models. Raises
    ValueError for a job that costs nothing or asks for no image.
    """

    job_id: int
    user_id: int
    cost: float
    images: int
    batch_key: Hashable
    models: tuple[str, ...] = ()
    #: Of one of its images, in one pass of the network.
    tokens: int = 0

    def __post_init__(self) -> None:
        if not (isfinite(self.cost) and self.cost > 0):
            raise ValueError(f"Job {self.job_id} costs {self.cost} credits; a queued job must cost more than zero.")
        if self.images < 1:
            raise ValueError(f"Job {self.job_id} asks for {self.images} images; it must ask for one or more.")


@dataclass(frozen=True, slots=True)
class Consumer:
    """What the queue has to know about an engine that takes from it.

    loaded: the models that it has loaded; None: whatever a job needs.
    swap_seconds: how long it takes to load another.
    full_pass: with so many tokens in a batch it is busy, and more would save no time; None: not known.
    """

    seconds_per_credit: float = 0.0
    loaded: frozenset[str] | None = None
    swap_seconds: float = 0.0
    full_pass: int | None = None

    def swaps_for(self, job: QueuedJob) -> int:
        """How many models the engine would have to load for a job."""
        return 0 if self.loaded is None else len(set(job.models) - self.loaded)

    def seconds_for(self, job: QueuedJob) -> float:
        """About how long it would take for a job."""
        return job.cost * self.seconds_per_credit + self.swaps_for(job) * self.swap_seconds

    def is_busy_with(self, tokens: int) -> bool:
        """Whether a batch of so many tokens keeps it busy, so that more jobs would only make the others wait."""
        return self.full_pass is not None and tokens >= self.full_pass


#: A consumer without preferences.
ANY_CONSUMER = Consumer()


@dataclass(frozen=True)
class QueuePosition:
    """What will be taken before a job, if nothing joins or leaves the queue. The batch in progress is not counted.

    Exact while at most `MAX_EXACT_USERS` users have something ahead of the job, and estimated beyond.
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
        self._turns: list[_Turn] = []  # of all users with jobs, the next one first
        self._users: OrderedDict[int, _User] = OrderedDict()  # the longest untouched first
        self._receipts: OrderedDict[int, _Receipt] = OrderedDict()
        self._virtual_time = 0
        self._latest_start = 0
        self._requests: list[_Request] = []  # idle consumers, the latest first
        self._dispatching: asyncio.Handle | None = None
        self._closed = False

    def restore_usage(self, lately: Mapping[int, float]) -> None:
        """What each user has used already, in credits drawn, not those that are only reserved.

        Of who has jobs in line already, the queue knows it.
        """
        now = self._clock()
        for user_id, spent in lately.items():
            if user_id in self._users and self._users[user_id].line:
                continue
            self._users[user_id] = _User(self._virtual_time, micro(spent), now, self._half_life)

    async def take(self, consumer: Consumer = ANY_CONSUMER) -> tuple[QueuedJob, ...]:
        """The next batch, once there is one: never empty, unless the queue was closed.

        Where several consumers wait, the one goes first that would have the next job done soonest. A job of more images
        than the largest batch comes alone. Cancelling a `take` loses no job.
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
        """As `take`, but empty if nothing waits."""
        request = _Request(consumer)
        self._requests.insert(0, request)
        self._dispatch()
        if request in self._requests:
            self._requests.remove(request)
        return request.batch

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
        user.refund(receipt, micro(waiting.cost), self._clock())
        self._rank(user)

    def remove(self, job_id: int) -> QueuedJob | None:
        """Removes a cancelled job, free of charge. None: it is not in the queue."""
        waiting = self._waiting.pop(job_id, None)
        if waiting is not None:
            user = self._users[waiting.user_id]
            user.line.remove(job_id)
            self._rank(user)
        return waiting

    def position(self, job_id: int) -> QueuePosition | None:
        """How much is taken before this job, by the current fair order. None: it is not in the queue.

        Takes a binary search, about a microsecond, for each of at most `MAX_EXACT_USERS` users, however many jobs they
        have.
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
        """`take` returns nothing more. Queued jobs stay, in the database too."""
        self._closed = True
        self._dispatch()

    def clear(self) -> None:
        """Forget all waiting jobs, for instance because another bot has taken the database over."""
        for job_id in list(self._waiting):
            self.remove(job_id)

    def _dispatch_soon(self) -> None:
        """Soon, not at once: jobs that are put at the same time may share the batch."""
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
        """Moves a user whose first job or start has changed to the right place in the order."""
        turn = (user.start, user.line.job_ids[0], user) if user.line else None
        if turn == user.turn:
            return
        if user.turn is not None:
            del self._turns[bisect_left(self._turns, user.turn)]
        if turn is not None:
            insort(self._turns, turn)
        user.turn = turn

    def _forget(self, now: float) -> None:
        """Keeps memory constant: drops old receipts, and users about whom nothing is left to remember."""
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
    """What a taken job moved its user's start on by, and when."""

    paid: int
    at: float


class _User:
    """One user's line, start and recent use. Credits are in millionths, and so is virtual time."""

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
        """When, in virtual time, the job at `index` of the line may begin."""
        usage = self.used_by(now)
        return self.start + price(usage + self.line.cost_of_first(index)) - price(usage)

    def before(self, start: int, job_id: int, now: float) -> tuple[int, int]:
        """How many jobs of the line go before another user's job of that `start` and id, given that the first does, and
        what they cost together. It runs for many users whenever someone asks for their place, so it has to be fast.
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


#: A user's start and first job, which no two users share, so that users themselves are never compared.
_Turn = tuple[int, int, _User]
