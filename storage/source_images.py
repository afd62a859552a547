"""Source images of jobs (image-to-image). Each file is stored once, for as long as a job that uses it."""

from hashlib import sha256

from sqlalchemy import ColumnElement, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.backend.transactions import Transactions, all_uncancellable
from storage.schema import job_sources, jobs, sources


@all_uncancellable
class SourceImages:
    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def of_job(self, job_id: int) -> bytes | None:
        """The source image's file; None if the job has none."""
        async with self._transactions.reading() as connection:
            return await connection.scalar(
                select(sources.c.content).join(job_sources).where(job_sources.c.job_id == job_id)
            )

    async def first_jobs(self, user_id: int) -> tuple[int, ...]:
        """For each source image of a user, the id of the first job that used it (see `of_job`)."""
        first = func.min(job_sources.c.job_id)
        async with self._transactions.reading() as connection:
            found = await connection.scalars(
                select(first)
                .join(jobs)
                .where(jobs.c.user_id == user_id)
                .group_by(job_sources.c.source_id)
                .order_by(first)
            )
            return tuple(found)


async def add_source_image(connection: AsyncConnection, job_id: int, content: bytes) -> None:
    """Insert the source image of a job, in the transaction in which the job is accepted."""
    digest = sha256(content).hexdigest()
    source_id = await connection.scalar(select(sources.c.id).where(sources.c.digest == digest))
    if source_id is None:
        source_id = await connection.scalar(
            insert(sources).values(digest=digest, content=content).returning(sources.c.id)
        )
    await connection.execute(insert(job_sources).values(job_id=job_id, source_id=source_id))


async def forget_source_images(connection: AsyncConnection, which: ColumnElement[bool] | None = None) -> None:
    """Delete the links of jobs to source images that match `which`, and all source images without a job."""
    if which is not None:
        await connection.execute(delete(job_sources).where(which))
    await connection.execute(delete(sources).where(sources.c.id.not_in(select(job_sources.c.source_id))))
