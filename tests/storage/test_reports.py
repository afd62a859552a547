"""Who reported which image."""

from datetime import timedelta

from storage.reports import ReportOutcome
from tests.storage.requests import ALICE, BOB, accepted

HOUR = timedelta(hours=1)


async def test_a_job_is_reported_once_by_each_person(database):
    job = await accepted(database)
    first = await database.reports.add(job.id, ALICE, limit=5, period=HOUR)
    again = await database.reports.add(job.id, ALICE, limit=5, period=HOUR)
    other = await database.reports.add(job.id, BOB, limit=5, period=HOUR)
    assert (first, again, other) == (
        ReportOutcome.WRITTEN,
        ReportOutcome.ALREADY_REPORTED,
        ReportOutcome.WRITTEN,
    )


async def test_a_user_at_the_report_limit_may_report_again_later(database, clock):
    jobs = [await accepted(database) for _ in range(3)]
    outcomes = [await database.reports.add(job.id, ALICE, limit=2, period=HOUR) for job in jobs]
    assert outcomes == [ReportOutcome.WRITTEN, ReportOutcome.WRITTEN, ReportOutcome.TOO_MANY]
    clock.turn(HOUR)
    assert await database.reports.add(jobs[2].id, ALICE, limit=2, period=HOUR) is ReportOutcome.WRITTEN


async def test_what_is_refused_is_known_before_it_is_recorded(database):
    first, second = [await accepted(database) for _ in range(2)]
    assert await database.reports.refusal(first.id, ALICE, limit=1, period=HOUR) is None
    await database.reports.add(first.id, ALICE, limit=1, period=HOUR)
    refusals = [await database.reports.refusal(job.id, ALICE, limit=1, period=HOUR) for job in (first, second)]
    assert refusals == [ReportOutcome.ALREADY_REPORTED, ReportOutcome.TOO_MANY]
