"""Who has reported which job's images, so that nobody reports one twice or floods a server's moderators."""

from datetime import timedelta
from enum import Enum, auto

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.backend.clock import Clock
from storage.backend.transactions import Transactions, all_uncancellable
from storage.schema import reports


class ReportOutcome(Enum):
    WRITTEN = auto()
    ALREADY_REPORTED = auto()
    TOO_MANY = auto()


@all_uncancellable
class Reports:
    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transactions = transactions
        self._clock = clock

    async def refusal(self, job_id: int, reporter_id: int, *, limit: int, period: timedelta) -> ReportOutcome | None:
        """Why a user may not report a job: they have, or reported `limit` others within `period`. None: they may."""
        async with self._transactions.reading() as connection:
            return await self._refusal(connection, job_id, reporter_id, limit, period)

    async def add(self, job_id: int, reporter_id: int, *, limit: int, period: timedelta) -> ReportOutcome:
        """Record a report that was posted, unless it is refused for one of these reasons."""
        async with self._transactions.writing(alone_with=f"reports {reporter_id}") as connection:
            refused = await self._refusal(connection, job_id, reporter_id, limit, period)
            if refused is not None:
                return refused
            now = self._clock()
            await connection.execute(insert(reports).values(job_id=job_id, reporter_id=reporter_id, reported_at=now))
            return ReportOutcome.WRITTEN

    async def _refusal(
        self, connection: AsyncConnection, job_id: int, reporter_id: int, limit: int, period: timedelta
    ) -> ReportOutcome | None:
        by_them = reports.c.reporter_id == reporter_id
        if await connection.scalar(select(reports.c.id).where(by_them, reports.c.job_id == job_id)):
            return ReportOutcome.ALREADY_REPORTED
        since = self._clock() - period
        lately = await connection.scalar(select(func.count()).where(by_them, reports.c.reported_at > since))
        return ReportOutcome.TOO_MANY if (lately or 0) >= limit else None
