"""Pictures to draw from are kept once each, and no longer than the jobs that were made from them."""

from datetime import timedelta

from sqlalchemy import func, select

from storage.database import Database
from storage.jobs import Accepted, Job
from storage.schema import sources
from tests.storage.requests import ALICE, BOB, UNLIMITED, an_imagine

CAT, DOG = b"a cat" * 1000, b"a dog" * 1000


async def drawn_from(database: Database, source: bytes | None, user_id: int = ALICE) -> Job:
    """A job that has ended."""
    verdict = await database.jobs.accept(an_imagine(user_id=user_id), UNLIMITED, source)
    assert isinstance(verdict, Accepted)
    await database.jobs.fail(verdict.job.id, "no reason")
    return verdict.job


async def count(database: Database) -> int | None:
    async with database.transactions.reading() as connection:
        return await connection.scalar(select(func.count()).select_from(sources))


async def test_a_job_knows_what_it_is_drawn_from(database: Database) -> None:
    cat, nothing, dog = [await drawn_from(database, source) for source in (CAT, None, DOG)]
    assert await database.source_images.of_job(cat.id) == CAT
    assert await database.source_images.of_job(nothing.id) is None
    assert await database.source_images.of_job(dog.id) == DOG
    assert await database.source_images.of_jobs([cat.id, nothing.id, dog.id]) == {cat.id: CAT, dog.id: DOG}


async def test_a_person_finds_each_of_their_own_by_its_first_job(database: Database) -> None:
    cat, _, again, dog = [await drawn_from(database, source) for source in (CAT, None, CAT, DOG)]
    theirs = await drawn_from(database, CAT, BOB)
    assert await database.source_images.first_jobs(ALICE) == (cat.id, dog.id)
    assert await database.source_images.first_jobs(BOB) == (theirs.id,)
    assert again.id not in (cat.id, dog.id)


async def test_a_source_shared_by_several_jobs_is_stored_once_until_the_last_is_erased(database: Database) -> None:
    await drawn_from(database, CAT)
    bobs = await drawn_from(database, CAT, BOB)
    assert await count(database) == 1
    await database.privacy.erase(ALICE)
    assert await database.source_images.of_job(bobs.id) == CAT
    await database.privacy.erase(BOB)
    assert await count(database) == 0


async def test_a_source_goes_with_the_words_and_with_the_job(database: Database, clock) -> None:
    worded, whole = await drawn_from(database, CAT), await drawn_from(database, DOG)
    clock.turn(timedelta(days=2))
    recent = await drawn_from(database, CAT)
    await database.privacy.forget_older_than(prompts=timedelta(days=1))
    assert [await database.source_images.of_job(job.id) for job in (worded, whole, recent)] == [None, None, CAT]
    assert await count(database) == 1
    clock.turn(timedelta(days=2))
    await database.privacy.forget_older_than(images=timedelta(days=1))
    assert await count(database) == 0
