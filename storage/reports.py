"""Who has reported which job's images, so that nobody reports one twice or floods a server's moderators."""

from datetime import timedelta
from enum import Enum, auto

from sqlalchemy import delete, func, insert, select

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

    async def add(self, job_id: int, reporter_id: int, *, most: int, period: timedelta) -> ReportOutcome:
        """Record a report of a job, unless the user reported it before, or reported `most` others within `period`."""
        now = self._clock()
        async with self._transactions.writing(alone_with=f"reports {reporter_id}") as connection:
            by_them = reports.c.reporter_id == reporter_id
            if await connection.scalar(select(reports.c.id).where(by_them, reports.c.job_id == job_id)):
                return ReportOutcome.ALREADY_REPORTED
            lately = await connection.scalar(select(func.count()).where(by_them, reports.c.reported_at > now - period))
            if (lately or 0) >= most:
                return ReportOutcome.TOO_MANY
            await connection.execute(insert(reports).values(job_id=job_id, reporter_id=reporter_id, reported_at=now))
            return ReportOutcome.WRITTEN

    async def take_back(self, job_id: int, reporter_id: int) -> None:
        """Delete a report that could not be posted."""
        async with self._transactions.writing() as connection:
            await connection.execute(
                delete(reports).where(reports.c.job_id == job_id, reports.c.reporter_id == reporter_id)
            )
