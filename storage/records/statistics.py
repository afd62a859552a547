"""Statistics of the images drawn since a given time, for admins and operators."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.schema import JobState, charges, jobs, pictures

#: The number of latest deliveries used for the medians.
LATEST = 500


@dataclass(frozen=True)
class Statistics:
    """Of one server or of all, since a given time. The medians are of the latest deliveries; None if there are none."""

    jobs: Mapping[JobState, int]
    kinds: Mapping[str, int]
    people: int
    images: int
    credits: float
    median_wait: timedelta | None
    median_drawing: timedelta | None


async def read_statistics(connection: AsyncConnection, since: datetime, guild_id: int | None) -> Statistics:
    """Of one server, or of all if `guild_id` is None."""
    here = jobs.c.queued_at >= since
    paid_here = charges.c.reserved_at >= since
    if guild_id is not None:
        here &= jobs.c.guild_id == guild_id
        paid_here &= charges.c.guild_id == guild_id
    count_by_state = [func.count().filter(jobs.c.state == state) for state in JobState]
    counts = await connection.execute(select(jobs.c.kind, *count_by_state).where(here).group_by(jobs.c.kind))
    states, kinds = Counter[JobState](), Counter[str]()
    for kind, *by_state in counts:
        states.update(dict(zip(JobState, by_state, strict=True)))
        kinds[kind] = sum(by_state)
    people = await connection.scalar(select(func.count(jobs.c.user_id.distinct())).where(here))
    drawn = await connection.scalar(
        select(func.count()).select_from(jobs.join(pictures, pictures.c.job_id == jobs.c.id)).where(here)
    )
    spent = await connection.scalar(select(func.sum(charges.c.spent)).where(paid_here))
    times = await connection.execute(
        select(jobs.c.queued_at, jobs.c.started_at, jobs.c.rendered_at)
        .where(here, jobs.c.state == JobState.DELIVERED)
        .order_by(jobs.c.queued_at.desc())
        .limit(LATEST)
    )
    latest = times.all()
    return Statistics(
        jobs=+states,
        kinds=kinds,
        people=people or 0,
        images=drawn or 0,
        credits=spent or 0.0,
        median_wait=_median([row.started_at - row.queued_at for row in latest]),
        median_drawing=_median([row.rendered_at - row.started_at for row in latest]),
    )


def _median(periods: list[timedelta]) -> timedelta | None:
    return timedelta(seconds=median(period.total_seconds() for period in periods)) if periods else None
