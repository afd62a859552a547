"""The signals that end the bot, on an event loop that handles none, as on Windows."""

import asyncio
import signal
from collections.abc import Callable, Iterator

import pytest

from bot.ops.shutdown import Shutdown

NUMBERS = (signal.SIGTERM, signal.SIGINT)


@pytest.fixture
def before() -> Iterator[list[object]]:
    """Handlers that were there before, so that the tests' own process does not end if the bot leaves one in place."""
    kept = [signal.signal(number, lambda *_: None) for number in NUMBERS]
    yield [signal.getsignal(number) for number in NUMBERS]
    for number, handler in zip(NUMBERS, kept, strict=True):
        signal.signal(number, handler)


def without_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As asyncio's loops are on Windows: `add_signal_handler` is "Unix only" there."""

    def refuse(*_: object) -> None:
        raise NotImplementedError

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "add_signal_handler", refuse, raising=False)
    monkeypatch.setattr(loop, "remove_signal_handler", refuse, raising=False)


async def becomes(is_so: Callable[[], bool]) -> None:
    while not is_so():
        await asyncio.sleep(0)


@pytest.mark.parametrize("number", NUMBERS)
async def test_a_loop_without_signal_handlers_gives_the_grace_period_too(
    before: list[object], monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    without_handlers(monkeypatch)
    with Shutdown.by_signal(grace=60) as shutdown:
        assert not shutdown.requested.is_set()
        signal.raise_signal(number)
        await becomes(shutdown.requested.is_set)
        assert not shutdown.hurried
        signal.raise_signal(number)
        await becomes(lambda: shutdown.hurried)
    assert [signal.getsignal(number) for number in NUMBERS] == before


@pytest.mark.posix
async def test_ctrl_break_and_a_closed_console_count_too(before: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)  # it has no number here
    kept = signal.signal(signal.SIGUSR1, lambda *_: None)
    without_handlers(monkeypatch)
    with Shutdown.by_signal(grace=60) as shutdown:
        signal.raise_signal(signal.SIGUSR1)
        await becomes(shutdown.requested.is_set)
    signal.signal(signal.SIGUSR1, kept)


@pytest.mark.posix
async def test_a_loop_with_signal_handlers_has_them_taken_off_again() -> None:
    with Shutdown.by_signal(grace=60) as shutdown:
        signal.raise_signal(signal.SIGTERM)
        await becomes(shutdown.requested.is_set)
    assert not asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
