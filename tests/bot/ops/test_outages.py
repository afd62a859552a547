"""Waiting for Discord: pauses grow and follow Discord's requests; permanent errors are raised."""

from __future__ import annotations

import asyncio
import itertools
from types import SimpleNamespace
from typing import Any

import aiohttp
import discord
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.ops.outages import MAX_PAUSE, MAX_PAUSE_REQUESTED, Outage, explain_outage, retry_until_reached


def http_error(status: int, retry_after: str | None = None, text: str = "down") -> discord.HTTPException:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    response: Any = SimpleNamespace(status=status, reason="because", headers=headers)
    return (discord.DiscordServerError if status >= 500 else discord.HTTPException)(response, text)


def pauses(errors: list[BaseException]) -> list[float]:
    """How long an outage with these errors pauses each time."""
    paused: list[float] = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    async def wait() -> None:
        outage = Outage()
        for error in errors:
            await outage.wait(error)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bot.ops.outages.asyncio.sleep", pause)
        asyncio.run(wait())
    return paused


outages = st.sampled_from(
    [
        http_error(503),
        http_error(429),
        aiohttp.ClientConnectionError("no route"),
        TimeoutError(),
        ConnectionResetError(),
    ]
)


@given(st.lists(outages, min_size=1, max_size=15))
def test_pauses_grow_up_to_a_limit(errors: list[BaseException]) -> None:
    found = pauses(errors)
    assert found == sorted(found) and found[0] > 0 and found[-1] <= MAX_PAUSE
    assert all(later == MAX_PAUSE or later >= 2 * earlier for earlier, later in itertools.pairwise(found))


@given(st.floats(0, 1e9), st.integers(1, 10))
def test_the_pause_for_a_ban_is_as_long_as_discord_asks_within_a_limit(asked: float, count: int) -> None:
    for pause in pauses([http_error(429, f"{asked:f}")] * count):
        assert min(round(asked, 6), MAX_PAUSE_REQUESTED) <= pause <= MAX_PAUSE_REQUESTED


@pytest.mark.parametrize("error", [KeyError("x"), http_error(400), http_error(403), discord.LoginFailure("no")])
def test_a_permanent_error_is_raised_at_once(error: BaseException) -> None:
    assert explain_outage(error) is None
    with pytest.raises(type(error)):
        pauses([error])


def test_a_page_of_html_becomes_one_line() -> None:
    sentence = explain_outage(http_error(502, text="<html>\n<body>bad gateway</body>\n</html>"))
    assert sentence is not None and "\n" not in sentence


async def test_the_bot_continues_once_discord_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(seconds: float) -> None: ...

    monkeypatch.setattr("bot.ops.outages.asyncio.sleep", at_once)
    answers: list[Any] = [http_error(503), TimeoutError(), "back"]
    cleaned = []

    async def act() -> str:
        answer = answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return str(answer)

    async def clean_up() -> None:
        cleaned.append(len(answers))

    assert await retry_until_reached(act, clean_up) == "back"
    assert cleaned == [2, 1]
