"""Source images of jobs (image-to-image) and their masks. Each file is stored once, for as long as a job uses it."""

from collections.abc import Collection, Mapping
from hashlib import sha256

from sqlalchemy import Table, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.backend.transactions import Transactions, all_uncancellable
from storage.schema import job_masks, job_sources, jobs, sources


@all_uncancellable
class SourceImages:
    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def of_job(self, job_id: int) -> bytes | None:
        """The source image's file; None if the job has none."""
        return await self._file(job_sources, job_id)

    async def of_jobs(self, job_ids: Collection[int]) -> Mapping[int, bytes]:
        """The source image's file of each job that has one."""
        files = select(job_sources.c.job_id, sources.c.content).join(sources).where(job_sources.c.job_id.in_(job_ids))
        async with self._transactions.reading() as connection:
            return {row.job_id: row.content for row in await connection.execute(files)}

    async def mask_of_job(self, job_id: int) -> bytes | None:
        """The file of the source image's mask; None if the job keeps none."""
        return await self._file(job_masks, job_id)

    async def _file(self, links: Table, job_id: int) -> bytes | None:
        async with self._transactions.reading() as connection:
            return await connection.scalar(select(sources.c.content).join(links).where(links.c.job_id == job_id))

    async def first_jobs(self, user_id: int) -> tuple[int, ...]:
        """For each source image of a user, the id of the first job that used it (see `of_job`)."""
        return await self._first_jobs(job_sources, user_id)

    async def first_jobs_with_mask(self, user_id: int) -> tuple[int, ...]:
        """The same for each mask (see `mask_of_job`)."""
        return await self._first_jobs(job_masks, user_id)

    async def _first_jobs(self, links: Table, user_id: int) -> tuple[int, ...]:
        first = func.min(links.c.job_id)
        async with self._transactions.reading() as connection:
            found = await connection.scalars(
                select(first).join(jobs).where(jobs.c.user_id == user_id).group_by(links.c.source_id).order_by(first)
            )
            return tuple(found)


async def add_source_image(connection: AsyncConnection, job_id: int, content: bytes) -> None:
    """Insert the source image of a job, in the transaction in which the job is accepted."""
    source_id = await _stored(connection, content)
    await connection.execute(insert(job_sources).values(job_id=job_id, source_id=source_id))


async def add_mask(connection: AsyncConnection, job_id: int, content: bytes) -> None:
    """The same for the mask of its source image."""
    source_id = await _stored(connection, content)
    await connection.execute(insert(job_masks).values(job_id=job_id, source_id=source_id))


async def _stored(connection: AsyncConnection, content: bytes) -> int | None:
    """The id of a file, which is inserted if it is not there yet."""
    digest = sha256(content).hexdigest()
    source_id: int | None = await connection.scalar(select(sources.c.id).where(sources.c.digest == digest))
    if source_id is None:
        added = insert(sources).values(digest=digest, content=content).returning(sources.c.id)
        source_id = await connection.scalar(added)
    return source_id


async def forget_source_images(connection: AsyncConnection, job_ids: Collection[int] = ()) -> None:
    """Delete the links of these jobs to source images and masks, and all files without a job."""
    for links in (job_sources, job_masks):
        if job_ids:
            await connection.execute(delete(links).where(links.c.job_id.in_(job_ids)))
    used = (sources.c.id.not_in(select(links.c.source_id)) for links in (job_sources, job_masks))
    await connection.execute(delete(sources).where(*used))
