"""What Discord's codes mean, and which routes to a job's message and its user they close."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import aiohttp
import discord
import pytest
from discord import ui

from bot.jobs.delivery import routes
from bot.jobs.delivery.refusals import OldMessageRefused, is_out_of_reach, is_temporary, is_too_large
from bot.jobs.delivery.routes import DeliveryRoute, DeliveryRoutes, MessageEditor, MessageOutOfReach
from bot.messages.limits import TOKEN_LIFETIME
from storage.jobs import Job
from storage.schema import JobState

TOKEN, MESSAGE, CHANNEL, PERSON = DeliveryRoute


class Answered:
    """Discord's response, as far as discord.py's errors look at it."""

    reason = "no"

    def __init__(self, status: int) -> None:
        self.status = status


def refusal(status: int, code: int = 0) -> discord.HTTPException:
    response: Any = Answered(status)
    return discord.HTTPException(response, {"code": code, "message": "no"})


def a_job(number: int = 1, **changes: Any) -> Job:
    known: dict[str, Any] = {
        "id": number,
        "interaction_id": number,
        "interaction_token": "token",
        "user_id": 1,
        "guild_id": 2,
        "channel_id": 3,
        "message_id": 4,
        "kind": "imagine",
        "cost": 1.0,
        "prompt": "1girl",
        "state": JobState.RENDERED,
        "attempts": 1,
        "reason": None,
        "ended_by": None,
        "notified": False,
        "queued_at": discord.utils.utcnow(),
        "started_at": None,
        "rendered_at": None,
        "finished_at": None,
    }
    return Job(**{**known, **changes})


@pytest.fixture
def told() -> list[Exception]:
    return []


@pytest.fixture
def known_routes(told: list[Exception]) -> DeliveryRoutes:
    return DeliveryRoutes(lambda job, error: told.append(error))


def are_open(known_routes: DeliveryRoutes, job: Job, *, with_files: bool = True) -> set[DeliveryRoute]:
    return {route for route in DeliveryRoute if known_routes.is_open(job, route, with_files=with_files)}


@pytest.mark.parametrize(
    ("status", "code"),
    [
        *((status, 0) for status in (401, 403, 404)),
        (400, 50083),  # an archived thread
        (400, 160005),  # a locked one
        (400, 160006),  # too many open threads
        (400, 50024),  # not in this type of channel
        (400, 50033),  # no valid recipient
        (400, 50005),  # somebody else's message
        (400, 50008),  # no text channel
        (400, 50068),  # this type of message
        (400, 200000),  # AutoMod
        (400, 200001),
        (400, 20009),  # explicit content, which the recipient does not take
        (400, 240000),  # a link that Discord takes to be harmful
        (400, 50278),  # no server in common
        (400, 400001),  # uploads are limited there
        (429, 30046),  # too many edits of old messages
        (429, 20022),  # too many edits of published ones
    ],
)
def test_a_closed_route_is_known_by_its_code_or_status(status: int, code: int) -> None:
    assert is_out_of_reach(refusal(status, code)) and not is_temporary(refusal(status, code))


@pytest.mark.parametrize(
    ("status", "code"),
    [(429, 0), (500, 0), (503, 0), (403, 40003), (400, 40003), (403, 40006), (400, 130000), (403, 40333)],
)
def test_temporary_errors_close_no_route(status: int, code: int) -> None:
    assert is_temporary(refusal(status, code)) and not is_out_of_reach(refusal(status, code))


@pytest.mark.parametrize(("status", "code"), [(400, 0), (400, 50035), (413, 0)])
def test_a_refused_message_neither_passes_nor_closes_a_route(status: int, code: int) -> None:
    assert not is_temporary(refusal(status, code)) and not is_out_of_reach(refusal(status, code))


@pytest.mark.parametrize("code", [200000, 200001, 20009, 240000])
def test_where_the_content_is_blocked_other_words_can_still_be_said(known_routes: DeliveryRoutes, code: int) -> None:
    job = a_job()
    known_routes.close_after(job, TOKEN, refusal(400, code), with_files=True)
    assert not known_routes.is_open(job, TOKEN) and known_routes.takes_plain_text(job)
    assert known_routes.is_open(job, TOKEN, with_content=False) and known_routes.is_open(job, MESSAGE)
    known_routes.close_after(job, TOKEN, refusal(400, code), with_files=False)
    assert not known_routes.is_open(job, TOKEN, with_content=False) and not known_routes.takes_plain_text(job)


def test_a_new_message_opens_an_archived_thread_again(known_routes: DeliveryRoutes) -> None:
    job = a_job()
    known_routes.close_after(job, TOKEN, refusal(401, 50027), with_files=True)
    known_routes.close_after(job, MESSAGE, refusal(400, 50083), with_files=True)
    assert are_open(known_routes, job) == {CHANNEL, PERSON}
    known_routes.note_new_message(job)
    assert are_open(known_routes, job) == {MESSAGE, CHANNEL, PERSON}


@pytest.mark.parametrize(("status", "code"), [(413, 0), (400, 40005), (400, 50045)])
def test_a_file_that_is_too_large_is_known_by_its_code_or_status(status: int, code: int) -> None:
    assert is_too_large(refusal(status, code)) and not is_too_large(refusal(400, 50035))


def test_a_network_error_passes_and_a_bug_does_not() -> None:
    assert is_temporary(aiohttp.ClientError()) and is_temporary(OSError()) and not is_temporary(ValueError())
    assert is_out_of_reach(OldMessageRefused()) and not is_out_of_reach(OSError())


def test_a_job_begins_with_the_routes_that_it_can_have(known_routes: DeliveryRoutes) -> None:
    assert are_open(known_routes, a_job(1)) == {TOKEN, MESSAGE, CHANNEL, PERSON}
    assert are_open(known_routes, a_job(2, interaction_token=None)) == {MESSAGE, CHANNEL, PERSON}
    assert are_open(known_routes, a_job(3, message_id=None)) == {TOKEN, CHANNEL, PERSON}
    assert are_open(known_routes, a_job(4, private=True)) == {TOKEN, PERSON}


def test_a_closed_route_stays_closed_for_that_job_alone(known_routes: DeliveryRoutes, told: list[Exception]) -> None:
    error = refusal(404, 10015)
    known_routes.close_after(a_job(1), TOKEN, error, with_files=False)
    assert are_open(known_routes, a_job(1)) == {MESSAGE, CHANNEL, PERSON}
    assert are_open(known_routes, a_job(2)) == {TOKEN, MESSAGE, CHANNEL, PERSON}
    assert told == [error]


@pytest.mark.parametrize("code", [50013, 400001])
def test_a_channel_without_attach_files_still_takes_text(known_routes: DeliveryRoutes, code: int) -> None:
    known_routes.close_after(a_job(1), CHANNEL, refusal(403, code), with_files=True)
    assert CHANNEL not in are_open(known_routes, a_job(1))
    assert CHANNEL in are_open(known_routes, a_job(1), with_files=False)
    known_routes.close_after(a_job(2), CHANNEL, refusal(403, 50013), with_files=False)
    assert CHANNEL not in are_open(known_routes, a_job(2), with_files=False)
    known_routes.close_after(a_job(3), CHANNEL, refusal(403, 50001), with_files=True)
    assert CHANNEL not in are_open(known_routes, a_job(3), with_files=False)


@pytest.mark.parametrize("route", [TOKEN, MESSAGE, CHANNEL])
def test_a_deleted_channel_closes_all_that_is_in_it(known_routes: DeliveryRoutes, route: DeliveryRoute) -> None:
    known_routes.close_after(a_job(), route, refusal(404, 10003), with_files=False)
    assert are_open(known_routes, a_job()) == {TOKEN, PERSON} - {route}


def test_an_unknown_private_channel_says_nothing_of_the_servers(known_routes: DeliveryRoutes) -> None:
    known_routes.close_after(a_job(), PERSON, refusal(404, 10003), with_files=False)
    assert are_open(known_routes, a_job()) == {TOKEN, MESSAGE, CHANNEL}


def test_a_deletion_is_remembered(known_routes: DeliveryRoutes) -> None:
    known_routes.note_deletion(a_job(1))
    assert known_routes.is_deleted(a_job(1)) and not known_routes.is_deleted(a_job(2))


def test_only_the_newest_jobs_routes_are_remembered(
    known_routes: DeliveryRoutes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "CACHED_JOBS", 2)
    for number in (1, 2):
        known_routes.close(a_job(number), PERSON)
    known_routes.is_open(a_job(1), PERSON)  # so the second is the one that nobody has asked about for longest
    known_routes.is_open(a_job(3), PERSON)
    assert [known_routes.is_open(a_job(number), PERSON) for number in (1, 2)] == [False, True]
    assert len(known_routes._closed) == 2


class NoRequests:
    """Stands where the bot, its view of servers and its limits do: nothing is to be sent."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} is asked for")


async def test_no_progress_goes_to_an_old_message_whose_request_was_acknowledged_long_before_it_was_accepted() -> None:
    now = discord.utils.utcnow()
    created = now - timedelta(hours=1)
    accepted = created + TOKEN_LIFETIME - timedelta(seconds=1)  # a request is resumed for as long as its token lives
    message_id = discord.utils.time_snowflake(created)
    job = a_job(interaction_token=None, message_id=message_id, queued_at=accepted)
    nothing: Any = NoRequests()
    editor = MessageEditor(nothing, nothing, DeliveryRoutes(lambda job, error: None), nothing)
    with pytest.raises(MessageOutOfReach):
        await editor.edit(job, ui.LayoutView(), list, with_files=False, is_progress=True)
