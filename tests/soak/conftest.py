from __future__ import annotations

import pytest

from tests.end_to_end.bot_process import TIMEOUT
from tests.end_to_end.patient_bot import PATIENCE


@pytest.fixture(autouse=True)
def patient_bots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Experiments are run without it: then a bot acknowledges as early as it does for people."""
    monkeypatch.setenv(PATIENCE, str(TIMEOUT))
