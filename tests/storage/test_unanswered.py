"""Requests until they are answered."""

from datetime import timedelta

from storage.jobs import Accepted, Allowance, AlreadyAccepted
from storage.privacy import UNANSWERED_LIFETIME
from tests.storage.requests import a_request, an_imagine


async def test_a_request_is_stored_until_it_is_answered(database):
    request = a_request()
    assert await database.unanswered.add(request)
    assert await database.unanswered.all() == (request,)
    await database.unanswered.answered(request.interaction_id)
    assert await database.unanswered.all() == ()


async def test_an_interaction_is_stored_once(database):
    assert await database.unanswered.add(a_request("first"))
    assert not await database.unanswered.add(a_request("second"))
    assert await database.unanswered.all() == (a_request("first"),)


async def test_a_job_replaces_its_request(database):
    new = an_imagine()
    other = a_request(interaction_id=new.interaction_id + 1)
    for outcome in (Accepted, AlreadyAccepted):
        await database.unanswered.add(a_request(interaction_id=new.interaction_id))
        await database.unanswered.add(other)
        assert isinstance(await database.jobs.accept(new, Allowance()), outcome)
        assert await database.unanswered.all() == (other,)


async def test_a_refused_request_is_still_to_be_answered(database):
    new = an_imagine()
    await database.unanswered.add(a_request(interaction_id=new.interaction_id))
    await database.jobs.accept(new, Allowance(waiting=0))
    assert len(await database.unanswered.all()) == 1


async def test_a_request_that_is_never_answered_expires(database, clock):
    await database.unanswered.add(a_request())
    clock.turn(UNANSWERED_LIFETIME - timedelta(seconds=1))
    await database.privacy.forget_older_than()
    assert len(await database.unanswered.all()) == 1
    clock.turn(timedelta(seconds=1))
    await database.privacy.forget_older_than()
    assert await database.unanswered.all() == ()
