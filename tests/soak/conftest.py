"""For short runs of the experiments."""

from __future__ import annotations

import pytest

from bot.sandbox.model import interactions
from tests.end_to_end.bot_process import TIMEOUT
from tests.end_to_end.patient_bot import TIMEOUT_VARIABLE


@pytest.fixture(autouse=True)
def slow_acknowledgements(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a bot may take longer than Discord and people would wait. Experiments are run without this."""
    monkeypatch.setattr(interactions, "DEADLINE", 30.0)  # experiments wait as long for what killed bots did not answer
    monkeypatch.setenv(TIMEOUT_VARIABLE, str(TIMEOUT))
