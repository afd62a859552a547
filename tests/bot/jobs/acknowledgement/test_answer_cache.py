"""What decides privacy is known from memory, in little of it, and never guessed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.jobs.acknowledgement import answer_cache
from bot.jobs.acknowledgement.answer_cache import AnswerCache, IdSet
from storage.database import Database
from storage.jobs import Accepted, Allowance, NewJob


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(f"sqlite:///{tmp_path / 'anima.db'}")
    yield database
    await database.close()


async def accepted(database: Database, interaction_id: int, *, private: bool) -> int:
    new = NewJob(
        interaction_id=interaction_id,
        user_id=1,
        channel_id=2,
        kind="imagine",
        cost=1.0,
        prompt="1girl",
        private=private,
    )
    answer = await database.jobs.accept(new, Allowance())
    assert isinstance(answer, Accepted)
    return answer.job.id


async def test_each_job_is_as_private_as_it_was_accepted(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_cache, "READ_BATCH_SIZE", 3)
    privacy = [number % 3 != 0 for number in range(20)]
    ids = [await accepted(database, number + 1, private=private) for number, private in enumerate(privacy)]
    answers = AnswerCache(database)
    await answers.load()
    assert [answers.is_private(id) for id in ids] == privacy


async def test_a_job_that_is_not_known_counts_as_private(database: Database) -> None:
    answers = AnswerCache(database)
    id = await accepted(database, 1, private=False)
    assert answers.is_private(id)
    await answers.load()
    assert not answers.is_private(id)
    later = await accepted(database, 2, private=False)  # by somebody else, who did not say so
    assert answers.is_private(later) and answers.is_private(later + 10**15)
    answers.add_job(later, private=False)
    answers.add_job(later + 1, private=True)
    assert (answers.is_private(later), answers.is_private(later + 1)) == (False, True)


def test_a_million_jobs_take_little_memory() -> None:
    ids = IdSet()
    ids.add_up_to(1_000_000)
    ids.discard(77)
    assert len(ids._bits) < 130_000
    assert 76 in ids and 77 not in ids and 1_000_000 in ids and 1_000_001 not in ids


@pytest.mark.parametrize("last", [0, 1, 7, 8, 9, 15, 16])
def test_a_range_is_added_up_to_its_last_id(last: int) -> None:
    ids = IdSet()
    ids.add_up_to(last)
    assert [id in ids for id in range(-1, last + 10)] == [0 <= id <= last for id in range(-1, last + 10)]
