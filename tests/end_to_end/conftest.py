"""For tests that start the bot in a process of its own."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.bot.harness import wait_longer
from tests.end_to_end.bot_process import TIMEOUT
from tests.end_to_end.patient_bot import TIMEOUT_VARIABLE


@pytest.fixture(autouse=True)
def ctrl_c_is_not_ignored() -> Iterator[None]:
    """Background processes of a script ignore SIGINT, and so do their children; the tests' processes must not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def slow_acknowledgements(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a bot may take longer than Discord and people would wait."""
    wait_longer(monkeypatch, TIMEOUT)
    monkeypatch.setenv(TIMEOUT_VARIABLE, str(TIMEOUT))
