"""Marks the tests that need more than Python, so that the rest can be selected on any system.

`pytest -m "not browser and not soak and not postgres and not posix"` runs without a browser, a PostgreSQL server,
POSIX signals, and in a few minutes. `posix` is written on the tests themselves; the others follow from the folder of a
test and from the fixtures that it uses.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

SOAK = Path(__file__).parent / "soak"
PAGE = Path(__file__).parent / "bot" / "sandbox" / "page"

# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if SOAK in item.path.parents:
            item.add_marker("soak")
        if PAGE in item.path.parents and "browser" in _fixtures(item):
            item.add_marker("browser")
        if _uses_postgresql(item):
            item.add_marker("postgres")


def _fixtures(item: pytest.Item) -> list[str]:
    return getattr(item, "fixturenames", [])


def _uses_postgresql(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    return "postgresql_url" in _fixtures(item) or (call is not None and call.params.get("url") == "postgresql")
