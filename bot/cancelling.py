"""Taking a job back, in whatever state it is before its picture is posted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot import messages
from bot.language import speaking
from storage.jobs import Job

if TYPE_CHECKING:
    from bot.client import AnimaClient


async def cancel(client: AnimaClient, job: Job, by: int) -> bool:
    """Cancel a job at any time before it is delivered, with a refund. False: it had ended already."""
    if not await client.database.jobs.cancel(job.id, by):
        return False
    await withdraw(client, job)
    await client.database.jobs.told(job.id)
    return True


async def withdraw(client: AnimaClient, job: Job) -> None:
    """Stop the work on a job that has ended in the database, and say in its message that nothing will come."""
    await client.worker.cancel(job.id)
    with speaking(job.locale):
        await client.delivery.show(job, messages.cancelled(job))
