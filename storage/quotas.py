"""Charges for jobs, and how many credits a user spent in the last 24 hours.

A charge is reserved when a job is accepted, settled when its images are delivered, and refunded if there are none. Each
job has one charge, opened once and closed once, so nothing is charged or refunded twice. What is answered at once and
becomes no job is charged by the id of its interaction, once it is done, however often it is begun again.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, case, delete, func, insert, literal, literal_column, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.backend.clock import Clock
from storage.backend.transactions import Transactions, all_uncancellable
from storage.backend.types import Credits
from storage.schema import ChargeState, charges

WINDOW = timedelta(hours=24)


@dataclass(frozen=True)
class Account:
    """Who pays: a user in a server, or, with `guild_id` None, a user everywhere outside of servers."""

    user_id: int
    guild_id: int | None

    def __str__(self) -> str:
        return f"account {self.user_id} in {self.guild_id}"


@dataclass(frozen=True)
class Charge:
    at: datetime
    credits: float


@dataclass(frozen=True)
class Usage:
    """The charges of an account in the last 24 hours, oldest first."""

    charges: tuple[Charge, ...]

    @property
    def spent(self) -> float:
        return _exact(sum(charge.credits for charge in self.charges))

    def has_room(self, cost: float, limit: float | None) -> bool:
        return limit is None or _exact(self.spent + cost) <= limit

    def room_at(self, cost: float, limit: float) -> datetime | None:
        """When enough charges will have expired for `cost` to fit. None: never, because it exceeds the limit."""
        left = self.spent
        for charge in self.charges:
            left = _exact(left - charge.credits)
            if _exact(left + cost) <= limit:
                return charge.at + WINDOW
        return None


@dataclass(frozen=True)
class ServerUsage:
    """Jobs and requests that cost something and were not refunded, and their credits."""

    jobs: int
    credits: float


@all_uncancellable
class Quotas:
    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transactions = transactions
        self._clock = clock

    async def usage(self, account: Account) -> Usage:
        async with self._transactions.reading() as connection:
            return await read_usage(connection, account, self._clock())

    async def lacks_room(self, interaction_id: int, account: Account, cost: float, limit: float | None) -> Usage | None:
        """The usage of an account that leaves no room for what an interaction asks for.

        None: there is room, or the interaction is charged already.
        """
        async with self._transactions.reading() as connection:
            if await _is_charged(connection, interaction_id):
                return None
            return await _without_room(connection, account, cost, limit, self._clock())

    async def charge(self, interaction_id: int, account: Account, cost: float, limit: float | None) -> Usage | None:
        """Charge for what an interaction asked for and got, once. Returns the usage if that leaves no room for it."""
        now = self._clock()
        async with self._transactions.writing(alone_with=str(account)) as connection:
            if await _is_charged(connection, interaction_id):
                return None
            usage = await _without_room(connection, account, cost, limit, now)
            if usage is None:
                await connection.execute(
                    insert(charges).values(
                        interaction_id=interaction_id,
                        user_id=account.user_id,
                        guild_id=account.guild_id,
                        reserved=cost,
                        spent=cost,
                        state=ChargeState.SETTLED,
                        reserved_at=now,
                        closed_at=now,
                    )
                )
            return usage

    async def undo_charge(self, interaction_id: int) -> None:
        """Undo `charge`, because the interaction could not be answered."""
        async with self._transactions.writing() as connection:
            await connection.execute(delete(charges).where(charges.c.interaction_id == interaction_id))

    async def usage_of_servers(self, guild_ids: Collection[int], since: datetime) -> Mapping[int, ServerUsage]:
        """The usage of each of these servers that used anything since then."""
        async with self._transactions.reading() as connection:
            rows = await connection.execute(
                select(charges.c.guild_id, func.count(), func.sum(charges.c.spent))
                .where(charges.c.guild_id.in_(guild_ids), charges.c.reserved_at > since, charges.c.spent > 0)
                .group_by(charges.c.guild_id)
            )
            return {guild_id: ServerUsage(jobs, _exact(credits)) for guild_id, jobs, credits in rows}

    async def spent_lately(self, period: timedelta) -> Mapping[int, float]:
        """Credits by user, over all servers. `period` is at most 24 hours; then charges lose their user."""
        # Grouped by the plain column, SQLite would scan all charges.
        person = charges.c.user_id + literal_column("0")
        async with self._transactions.reading() as connection:
            rows = await connection.execute(
                select(person, func.sum(charges.c.spent))
                .where(charges.c.reserved_at > self._clock() - period, charges.c.user_id.is_not(None))
                .group_by(person)
            )
            return dict(rows.all())


async def read_usage(connection: AsyncConnection, account: Account, now: datetime) -> Usage:
    rows = await connection.execute(
        select(charges.c.reserved_at, charges.c.spent)
        .where(
            charges.c.user_id == account.user_id,
            charges.c.guild_id == account.guild_id,
            charges.c.reserved_at > now - WINDOW,
            charges.c.spent > 0,
        )
        .order_by(charges.c.reserved_at)
    )
    return Usage(tuple(Charge(at, spent) for at, spent in rows))


async def _without_room(
    connection: AsyncConnection, account: Account, cost: float, limit: float | None, now: datetime
) -> Usage | None:
    usage = await read_usage(connection, account, now)
    return None if usage.has_room(cost, limit) else usage


async def _is_charged(connection: AsyncConnection, interaction_id: int) -> bool:
    found = await connection.scalar(select(charges.c.id).where(charges.c.interaction_id == interaction_id))
    return found is not None


async def reserve(connection: AsyncConnection, job_id: int, account: Account, cost: float, now: datetime) -> None:
    await connection.execute(
        insert(charges).values(
            job_id=job_id,
            user_id=account.user_id,
            guild_id=account.guild_id,
            reserved=cost,
            spent=cost,
            state=ChargeState.RESERVED,
            reserved_at=now,
        )
    )


async def settle(connection: AsyncConnection, job_id: int, now: datetime, cost: float | None = None) -> None:
    """Close a charge at the reserved cost, or at the actual `cost` if that is lower."""
    spent = (
        charges.c.spent
        if cost is None
        else case((charges.c.reserved < cost, charges.c.reserved), else_=literal(cost, Credits))
    )
    await _close(connection, [job_id], ChargeState.SETTLED, spent, now)


async def refund(connection: AsyncConnection, job_ids: Sequence[int], now: datetime) -> None:
    await _close(connection, job_ids, ChargeState.REFUNDED, literal(0.0, Credits), now)


async def _close(
    connection: AsyncConnection, job_ids: Sequence[int], state: ChargeState, spent: ColumnElement[float], now: datetime
) -> None:
    await connection.execute(
        update(charges)
        .where(charges.c.job_id.in_(job_ids), charges.c.state == ChargeState.RESERVED)
        .values(state=state, spent=spent, closed_at=now)
    )


def _exact(credits: float) -> float:
    """Rounded to thousandths, the unit of credits, because sums of floats are inexact."""
    return round(credits, 3)
