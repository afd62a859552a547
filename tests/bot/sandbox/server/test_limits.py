"""Discord's rate limits, asked with plain HTTP and a clock that stands still; and discord.py's client under them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import discord
import pytest

from bot.sandbox import Clock, FakeDiscord, RateLimits
from bot.sandbox.model.interactions import COMMAND, DEFERRED_MESSAGE, Interaction
from bot.sandbox.model.messages import Body, Message
from bot.sandbox.server.limits.rate_limits import Limit
from tests.bot.sandbox.conftest import SpecimenStage

NOW = 1_780_000_000.0


class Api:
    """Discord's API, as the bot and with nothing between."""

    def __init__(self, standin: FakeDiscord, session: aiohttp.ClientSession) -> None:
        self.standin = standin
        self._session = session

    async def ask(self, method: str, path: str, json: Any = None, token: bool = True) -> tuple[Any, int, Any]:
        """The headers, the status and the body of the answer."""
        headers = {"Authorization": f"Bot {self.standin.token}"} if token else {}
        request = self._session.request(method, self.standin.api_url + path, json=json, headers=headers)
        async with request as response:
            is_json = response.content_type == "application/json"
            return response.headers, response.status, await (response.json() if is_json else response.text())

    async def statuses(self, method: str, path: str, times: int, json: Any = None) -> list[int]:
        return [(await self.ask(method, path, json))[1] for _ in range(times)]

    def post(self) -> Message:
        world = self.standin.world
        return self.standin.messages.create(world.general, world.bot, Body({"content": "mine"}))

    def defer(self) -> Interaction:
        """An interaction that the bot has deferred."""
        world = self.standin.world
        data = {"id": "1", "name": "specimen", "type": 1}
        sent = self.standin.interactions.send(COMMAND, world.alice, world.general, data)
        return self.standin.interactions.respond(sent.id, sent.token, DEFERRED_MESSAGE, Body({}), 0.0)

    def webhook(self, interaction: Interaction) -> str:
        return f"/webhooks/{self.standin.world.application.id}/{interaction.token}"


@pytest.fixture
def clock() -> Clock:
    return Clock(frozen_at=NOW)


@pytest.fixture
async def api(standin: FakeDiscord) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession() as session:
        yield Api(standin, session)


def messages(api: Api, name: str = "general") -> str:
    return f"/channels/{getattr(api.standin.world, name).id}/messages"


async def test_the_sixth_message_in_five_seconds_is_refused_in_that_channel_alone(api: Api, clock: Clock) -> None:
    assert await api.statuses("POST", messages(api), 5, {"content": "hello"}) == [200] * 5
    headers, status, body = await api.ask("POST", messages(api), {"content": "too much"})
    assert status == 429
    assert body == {"message": "You are being rate limited.", "retry_after": 5.0, "global": False, "code": 0}
    assert headers["Retry-After"] == "5" and headers["X-RateLimit-Scope"] == "user" and headers["Via"]
    assert len(api.standin.messages_in(api.standin.world.general)) == 5
    assert await api.statuses("POST", messages(api, "gallery"), 1, {"content": "elsewhere"}) == [200]
    clock.turn(5)
    assert await api.statuses("POST", messages(api), 1, {"content": "later"}) == [200]


async def test_headers_count_down_until_the_time_is_over(api: Api, clock: Clock) -> None:
    seen = []
    for _ in range(2):
        headers, _, _ = await api.ask("POST", messages(api), {"content": "hello"})
        seen.append(
            (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"], headers["X-RateLimit-Reset-After"])
        )
        clock.turn(2)
    assert seen == [("5", "4", "5.000"), ("5", "3", "3.000")]
    assert headers["X-RateLimit-Reset"] == f"{NOW + 5:.3f}"


async def test_edits_and_deletions_and_new_messages_are_counted_apart(api: Api) -> None:
    message = api.post()
    path = f"{messages(api)}/{message.id}"
    assert await api.statuses("PATCH", path, 6, {"content": "changed"}) == [200] * 5 + [429]
    assert await api.statuses("POST", messages(api), 1, {"content": "new"}) == [200]
    assert await api.statuses("DELETE", path, 1) == [204]


@pytest.mark.parametrize(("age", "allowed"), [(1.0, 5), (60.0, 3), (15 * 86_400.0, 30)])
async def test_how_many_deletions_there_may_be_depends_on_the_age_of_a_message(
    api: Api, clock: Clock, age: float, allowed: int
) -> None:
    own = [api.post() for _ in range(allowed + 1)]
    clock.turn(age)
    answers = [(await api.ask("DELETE", f"{messages(api)}/{message.id}"))[1] for message in own]
    assert answers == [204] * allowed + [429]


async def test_each_interaction_has_edits_of_its_own_which_leave_those_of_the_channel_alone(api: Api) -> None:
    first, second = api.defer(), api.defer()
    path = f"{api.webhook(first)}/messages/@original"
    assert await api.statuses("PATCH", path, 6, {"content": "changed"}) == [200] * 5 + [429]
    other = f"{api.webhook(second)}/messages/@original"
    assert await api.statuses("PATCH", other, 1, {"content": "changed"}) == [200]
    assert await api.statuses("PATCH", f"{messages(api)}/{api.post().id}", 1, {"content": "changed"}) == [200]
    api.standin.clock.turn(2)
    assert await api.statuses("PATCH", path, 1, {"content": "changed"}) == [200]


async def test_follow_ups_are_counted_for_each_interaction(api: Api) -> None:
    interaction = api.defer()
    await api.ask("PATCH", f"{api.webhook(interaction)}/messages/@original", {"content": "here"})
    assert await api.statuses("POST", api.webhook(interaction), 6, {"content": "more"}) == [200] * 5 + [429]


async def test_the_bot_has_fifty_requests_a_second_which_interactions_do_not_use_up(api: Api, clock: Clock) -> None:
    interactions = [api.defer() for _ in range(20)]
    for interaction in interactions:
        await api.statuses("PATCH", f"{api.webhook(interaction)}/messages/@original", 5, {"content": "changed"})
    assert await api.statuses("GET", "/users/@me", 25) == [200] * 25
    assert await api.statuses("GET", "/gateway/bot", 25) == [200] * 25
    headers, status, body = await api.ask("GET", f"/channels/{api.standin.world.general.id}")
    assert (status, body["global"], headers["X-RateLimit-Scope"], headers["X-RateLimit-Global"]) == (
        *(429, True, "global", "true"),
    )
    assert await api.statuses("PATCH", f"{api.webhook(api.defer())}/messages/@original", 1, {"content": "x"}) == [200]
    clock.turn(1)
    assert await api.statuses("GET", "/users/@me", 1) == [200]


async def test_a_message_of_an_hour_ago_can_be_edited_only_a_few_times(api: Api, clock: Clock) -> None:
    path = f"{messages(api)}/{api.post().id}"
    clock.turn(3601)
    assert await api.statuses("PATCH", path, 3, {"content": "changed"}) == [200] * 3
    _, status, body = await api.ask("PATCH", path, {"content": "once more"})
    assert (status, body["code"], body["retry_after"]) == (429, 30046, 20.0)
    new = f"{messages(api)}/{api.post().id}"
    assert await api.statuses("PATCH", new, 1, {"content": "changed"}) == [200]


async def test_ten_thousand_invalid_requests_in_ten_minutes_block_the_bot(standin: FakeDiscord, clock: Clock) -> None:
    limiter = standin.rest.limiter
    for _ in range(9_998):
        limiter.note_answer(403, {})
    limiter.note_answer(429, {"X-RateLimit-Scope": "shared"})
    limiter.note_answer(404, {})
    async with aiohttp.ClientSession() as session:
        api = Api(standin, session)
        assert await api.statuses("GET", "/users/@me", 1) == [200]
        assert (await api.ask("GET", "/users/@me", token=False))[1] == 401
        assert (await api.ask("GET", "/users/@me", token=False))[1] == 401
        headers, status, text = await api.ask("GET", "/users/@me")
        assert status == 429 and "Via" not in headers and int(headers["Retry-After"]) > 600 and "1015" in text
        clock.turn(3601)
        assert await api.statuses("GET", "/users/@me", 1) == [200]


async def test_invalid_requests_of_longer_ago_are_forgotten(standin: FakeDiscord, clock: Clock) -> None:
    for _ in range(9_999):
        standin.rest.limiter.note_answer(401, {})
    clock.turn(601)
    standin.rest.limiter.note_answer(401, {})
    assert not standin.rest.limiter.banned()


async def test_other_limits_can_be_given() -> None:
    async with FakeDiscord(limits=RateLimits().times(2)) as standin, aiohttp.ClientSession() as session:
        api = Api(standin, session)
        assert await api.statuses("POST", messages(api), 11, {"content": "hello"}) == [200] * 10 + [429]


async def test_users_are_not_limited(api: Api) -> None:
    world = api.standin.world
    for _ in range(20):
        await api.standin.say(world.alice, world.general, "hello")
    assert len(api.standin.messages_in(world.general)) == 20


class TestClientOfDiscordPy:
    """What the library makes of the headers."""

    class TestBeforeALimit:
        @pytest.fixture
        def clock(self) -> Clock:
            return Clock()

        @pytest.fixture
        def rate_limits(self) -> RateLimits:
            sending = RateLimits().bucket("POST", "/channels/{channel_id}/messages", age=0)
            return RateLimits(buckets=(replace(sending, limit=Limit(2, 0.3)),))

        async def test_the_client_waits_for_rate_limits(self, stage: SpecimenStage) -> None:
            for number in range(6):
                await channel_of(stage).send(str(number))
            sent = stage.discord.messages_in(stage.discord.world.general)
            assert [message.content for message in sent] == list("012345")
            assert stage.discord.request_log.find(status=429) == []

    async def test_it_tries_again_after_a_refusal(self, stage: SpecimenStage, clock: Clock) -> None:
        limiter, log = stage.discord.rest.limiter, stage.discord.request_log
        while limiter.take("GET", "/users/@me", {}).refused is None:
            pass
        sending = asyncio.create_task(channel_of(stage).send("later"))
        while not log.find(status=429):
            await asyncio.sleep(0.005)
        assert stage.discord.messages_in(stage.discord.world.general) == []
        clock.turn(1)
        assert (await sending).content == "later"


def channel_of(stage: SpecimenStage) -> discord.TextChannel:
    """#general, as the bot sees it."""
    channel = stage.bot.get_channel(stage.discord.world.general.id)
    assert isinstance(channel, discord.TextChannel)
    return channel
