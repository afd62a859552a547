"""What is true of a sound database at any moment, asked of the tables themselves."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select, func, or_, select, text

from storage.database import Database
from storage.schema import charges, job_masks, job_sources, jobs, pictures, renders, sources

LIVE = ("queued", "running", "rendered")
GIVEN_UP = ("cancelled", "failed", "refused")

_paid = jobs.join(charges, charges.c.job_id == jobs.c.id)
_drawn = pictures.join(jobs, pictures.c.job_id == jobs.c.id)

EXCEPTIONS: Mapping[str, Select[Any]] = {
    "a job without a charge": select(jobs.c.id)
    .outerjoin(charges, charges.c.job_id == jobs.c.id)
    .where(charges.c.id.is_(None)),
    "a live job whose cost is not reserved": select(jobs.c.id)
    .select_from(_paid)
    .where(jobs.c.state.in_(LIVE), or_(charges.c.state != "reserved", charges.c.spent != charges.c.reserved)),
    "a delivered job that is not settled": select(jobs.c.id)
    .select_from(_paid)
    .where(jobs.c.state == "delivered", charges.c.state != "settled"),
    "a job without pictures that still costs": select(jobs.c.id)
    .select_from(_paid)
    .where(jobs.c.state.in_(GIVEN_UP), or_(charges.c.state != "refunded", charges.c.spent != 0)),
    "a source of no job": select(sources.c.id)
    .outerjoin(job_sources, job_sources.c.source_id == sources.c.id)
    .outerjoin(job_masks, job_masks.c.source_id == sources.c.id)
    .where(job_sources.c.job_id.is_(None), job_masks.c.job_id.is_(None)),
    "a charge for more or less than the job": select(jobs.c.id)
    .select_from(_paid)
    .where(charges.c.reserved != jobs.c.cost),
    "a charge on another account": select(jobs.c.id)
    .select_from(_paid)
    .where(or_(charges.c.user_id != jobs.c.user_id, charges.c.guild_id.is_distinct_from(jobs.c.guild_id))),
    "a job done with no picture": select(jobs.c.id)
    .outerjoin(pictures, pictures.c.job_id == jobs.c.id)
    .where(jobs.c.state.in_(("rendered", "delivered")), pictures.c.id.is_(None)),
    "a picture of a job that has none": select(pictures.c.id)
    .select_from(_drawn)
    .where(jobs.c.state.not_in(("rendered", "delivered"))),
    "a picture of somebody else's job": select(pictures.c.id)
    .select_from(_drawn)
    .where(pictures.c.user_id != jobs.c.user_id),
    "a picture to deliver without its file": select(pictures.c.id)
    .select_from(_drawn.outerjoin(renders))
    .where(jobs.c.state == "rendered", renders.c.picture_id.is_(None)),
    "a file that nobody will deliver": select(renders.c.picture_id)
    .select_from(renders.join(_drawn))
    .where(jobs.c.state != "rendered"),
    "an end without a time, or a time without an end": select(jobs.c.id).where(
        jobs.c.state.in_(LIVE) != jobs.c.finished_at.is_(None)
    ),
    "a running job that never started": select(jobs.c.id).where(
        jobs.c.state.in_(("running", "rendered", "delivered")), or_(jobs.c.attempts < 1, jobs.c.started_at.is_(None))
    ),
    "an interaction with two jobs": select(jobs.c.interaction_id)
    .group_by(jobs.c.interaction_id)
    .having(func.count() > 1),
}


async def broken_rules(database: Database) -> list[str]:
    broken = []
    async with database.transactions.reading() as connection:
        for rule, exceptions in EXCEPTIONS.items():
            broken += [f"{rule}: {found}" for found in (await connection.execute(exceptions)).scalars()]
    if database.transactions.on_sqlite:
        broken += await _broken_in_the_file(database)
    return broken


async def _broken_in_the_file(database: Database) -> list[str]:
    async with database.transactions.writing() as connection:
        integrity = (await connection.execute(text("PRAGMA integrity_check"))).scalars().all()
        foreign_keys = (await connection.execute(text("PRAGMA foreign_key_check"))).all()
        # raises if the full-text index says anything else than the pictures do
        await connection.execute(text("INSERT INTO picture_words (picture_words, rank) VALUES ('integrity-check', 1)"))
    return [fault for fault in integrity if fault != "ok"] + [f"points nowhere: {row}" for row in foreign_keys]
