"""Queue and history say of each job what it is."""

from __future__ import annotations

import pytest

from bot.messages import details, job


@pytest.mark.parametrize("kind", job.KINDS)
def test_what_is_said_under_an_image_of_its_kind_is_said_in_queue_and_history_too(kind: str) -> None:
    assert "{source}" in details.KINDS[kind]
