"""Short runs of `outages.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.postgresql_server import missing
from tests.soak.outages import inject

pytestmark = [pytest.mark.postgres, pytest.mark.skipif(missing() is not None, reason=str(missing()))]


@pytest.mark.parametrize("name", ["killed", "failed over"])
async def test_two_bots_never_draw_at_once_and_nothing_is_lost_in_outages(name: str, tmp_path: Path) -> None:
    pytest.importorskip("asyncpg")
    report = await inject(name, jobs=6, folder=tmp_path)
    assert report.wrong == ()
    assert report.delivered >= 2
