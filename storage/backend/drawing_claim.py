"""The claim: only one bot at a time draws for a database.

It is a row with an epoch that counts up whenever the claim is taken. Whoever holds it renews it every few seconds, by
the database's clock. Every change that only the drawing bot may make compares the epoch, so a bot that slept through
the loss of its claim changes nothing. All of this is the same on SQLite and PostgreSQL, also behind pgbouncer.

A claim that is not renewed expires: by the database's clock, or, as that may be set back, by the clock of one who
waits and sees the same renewal all that time. It is free earlier if its holder is known to be dead: on SQLite a lock on
a file beside the database shows that, on PostgreSQL the holder's process id, if it ran on the same machine.
"""

import asyncio
import logging
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.backend.errors import StorageUnavailable
from storage.backend.holder import describe, has_ended, this_process
from storage.backend.lock import FileLock
from storage.backend.transactions import Transactions
from storage.backend.types import DatabaseTime
from storage.schema import claims

logger = logging.getLogger(__name__)

#: Seconds between two renewals, and between two attempts to take the claim.
RENEW_INTERVAL, POLL_INTERVAL = 5.0, 1.0
#: After this time without a renewal another bot may take it.
EXPIRES_AFTER = timedelta(seconds=30)
#: Seconds after which a holder that cannot renew it gives it up: earlier than EXPIRES_AFTER, so that two never draw.
RENEW_TIMEOUT = 20.0

TAKEN = "another bot has taken over"
NOT_RENEWED = "the database did not answer, so another bot may take over"


class ClaimLost(StorageUnavailable):
    """This process does not hold the claim (any more). Nothing was changed."""


@dataclass(frozen=True)
class _Held:
    epoch: int
    holder: str | None
    renewed_at: datetime


class DrawingClaim:
    """One process's view of the claim. Until it is taken for the first time, nothing is compared."""

    def __init__(self, transactions: Transactions, lock: FileLock | None) -> None:
        """`lock`: one that all processes that can open the database share, if there can be such a lock."""
        self._transactions = transactions
        self._lock = lock
        self._name = this_process()
        self._epoch: int | None = None
        self._held = asyncio.Event()
        self._lost = asyncio.Event()
        self._given_up_at = inf
        self._seen: tuple[datetime, float] | None = None  # another's last renewal, and when it was seen first

    @property
    def is_held(self) -> bool:
        """False as soon as another bot may have taken it: also right after a sleep."""
        return self._held.is_set() and _now() < self._given_up_at

    @property
    def epoch(self) -> int | None:
        """Another number each time that this process has taken it; None before the first time."""
        return self._epoch

    async def until_held(self) -> None:
        await self._held.wait()

    async def until_lost(self) -> None:
        await self._lost.wait()

    async def take(self) -> bool:
        """Take the claim if it is free. False: another bot holds it."""
        if self.is_held:
            return True
        if self._lock is not None and not await self._lock.acquire():
            return False
        return await self._transactions.finish(self._take())

    async def take_or_refuse(self) -> bool:
        """Take the claim, after waiting until it expires if its holder may be dead.

        False as soon as the holder is seen to be alive: it has the lock, or renews the claim.
        """
        seen: datetime | None = None
        while not await self.take():
            if self._lock is not None:
                return False
            renewed_at = (await self._read()).renewed_at
            if seen is not None and renewed_at != seen:
                return False
            if seen is None:
                logger.info("waiting: a bot that may have crashed holds the claim for up to %s", EXPIRES_AFTER)
            seen = renewed_at
            await asyncio.sleep(POLL_INTERVAL)
        return True

    async def keep(self) -> None:
        """Renew the claim, and take it back after it was lost, until cancelled."""
        while True:
            try:
                if self._held.is_set():
                    await asyncio.sleep(min(RENEW_INTERVAL, max(0.0, self._given_up_at - _now())))
                    await self._renew_in_time()
                else:
                    await asyncio.sleep(POLL_INTERVAL)
                    await self.take()
            except StorageUnavailable as error:
                logger.warning(
                    "the claim could not be %s: %s", "renewed" if self._held.is_set() else "taken back", error
                )
                await asyncio.sleep(POLL_INTERVAL)
            except Exception:  # nobody else would renew it, or notice that it is lost
                logger.exception("the claim could not be checked")
                await asyncio.sleep(POLL_INTERVAL)

    async def release(self) -> None:
        """Release the claim, so that the next bot can take it at once."""
        if self._held.is_set():
            self._held.clear()
            self._lost.set()
            mine = (claims.c.epoch == self._epoch) & (claims.c.holder == self._name)
            try:
                async with self._transactions.writing() as connection:
                    await connection.execute(update(claims).where(mine).values(holder=None))
            except StorageUnavailable as error:
                logger.warning("the claim could not be released and expires in %s: %s", EXPIRES_AFTER, error)
        if self._lock is not None:
            await self._lock.release()

    def compared(self) -> ColumnElement[bool]:
        """For a WHERE clause: whether this process still holds the claim. Until the commit nobody can take it then."""
        return true() if self._epoch is None else self._epoch_of_mine() == self._epoch

    async def check(self, connection: AsyncConnection) -> None:
        """Raises ClaimLost; otherwise nobody can take the claim before the end of the transaction."""
        if self._epoch is not None and await connection.scalar(select(self._epoch_of_mine())) != self._epoch:
            self._lose(TAKEN)
            raise ClaimLost("Another bot is using this database now.")

    def _epoch_of_mine(self) -> ScalarSelect[Any]:
        """The name is compared too: after a failover that lost the newest changes, an epoch may come twice."""
        mine = select(claims.c.epoch).where(claims.c.holder == self._name)
        return mine.with_for_update(read=True, key_share=True).scalar_subquery()

    async def _take(self) -> bool:
        asked_at = _now()
        async with self._transactions.writing() as connection:
            expired = claims.c.renewed_at < DatabaseTime(EXPIRES_AFTER)
            # Waits for those who have compared the epoch and not committed yet.
            found = await connection.execute(
                select(claims.c.epoch, claims.c.holder, claims.c.renewed_at, expired).with_for_update()
            )
            epoch, holder, renewed_at, is_expired = found.one()
            is_free = is_expired or holder is None or holder == self._name or self._lock or has_ended(holder)
            if not (is_free or self._is_expired_locally(renewed_at, asked_at)):
                return False
            await connection.execute(
                update(claims).values(epoch=epoch + 1, holder=self._name, renewed_at=DatabaseTime())
            )
        is_first = self._epoch is None
        self._epoch = epoch + 1
        self._renewed(asked_at)
        self._lost.clear()
        self._held.set()
        logger.log(logging.INFO if is_first else logging.WARNING, "took the claim (epoch %d)", self._epoch)
        return True

    def _is_expired_locally(self, renewed_at: datetime, asked_at: float) -> bool:
        """Whether another's claim has not been renewed for as long as it lasts, by this machine's clock."""
        if self._seen is None or self._seen[0] != renewed_at:
            self._seen = renewed_at, _now()
        return asked_at - self._seen[1] > EXPIRES_AFTER.total_seconds()

    async def _renew_in_time(self) -> None:
        """A renewal that takes too long counts as failed, though it continues."""
        renewing = asyncio.create_task(self._transactions.finish(self._renew()))
        await asyncio.wait([renewing], timeout=None if self._given_up_at == inf else self._given_up_at - _now())
        if renewing.done():
            try:
                return renewing.result()
            except StorageUnavailable:
                if _now() < self._given_up_at:
                    raise
        self._lose(NOT_RENEWED)

    async def _renew(self) -> None:
        asked_at, epoch = _now(), self._epoch
        mine = (claims.c.epoch == epoch) & (claims.c.holder == self._name)
        async with self._transactions.writing() as connection:
            renewed = await connection.execute(update(claims).where(mine).values(renewed_at=DatabaseTime()))
            await self._transactions.forget_commits(connection)
        if epoch != self._epoch or not self._held.is_set():
            return
        if renewed.rowcount == 0:
            holder = (await self._read()).holder
            self._lose(TAKEN if holder is None else f"{TAKEN} ({describe(holder)})")
        else:
            self._renewed(asked_at)

    async def _read(self) -> _Held:
        async with self._transactions.reading() as connection:
            row = (await connection.execute(select(claims.c.epoch, claims.c.holder, claims.c.renewed_at))).one()
            return _Held(*row)

    def _renewed(self, asked_at: float) -> None:
        """Whoever has the lock cannot lose the claim while the database does not answer."""
        self._given_up_at = inf if self._lock is not None else asked_at + RENEW_TIMEOUT

    def _lose(self, why: str) -> None:
        if self._held.is_set():
            logger.error("drawing stops: %s", why)
            self._held.clear()
            self._lost.set()


def _now() -> float:
    """Seconds, also while the machine sleeps."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    if sys.platform == "darwin":  # where Python's own monotonic clock stands still meanwhile
        return time.clock_gettime(time.CLOCK_MONOTONIC)
    return time.monotonic()
