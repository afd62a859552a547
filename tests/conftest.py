"""Marks the tests that need more than Python, so that the rest can be selected on any system.

`pytest -m "not browser and not soak and not postgres and not posix"` runs without a browser, a PostgreSQL server,
POSIX signals, and in a few minutes. `posix` is written on the tests themselves; the others follow from the folder of a
test and from the fixtures that it uses.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.commands_once import translate_and_check_once
from tests.mixed_order import mix
from tests.postgresql_server import PostgresqlServer, emptied, missing
from tests.postgresql_server import postgresql_server as running_server
from tests.stuck_tests import StuckTestWatch
from tests.translated_once import translate_once

SOAK = Path(__file__).parent / "soak"
PAGE = Path(__file__).parent / "bot" / "sandbox" / "page"

# Several tests run at once, some in processes of their own. Threads that wait for one another would take their time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# What importing and collecting the tests leaves behind stays until the end. To look through it again and again would
# take a tenth of the time. Python's own thresholds would take another twentieth.
gc.disable()
GC_THRESHOLDS = (10_000, 20, 20)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Twice as many as there are cores: many tests wait for timers and other processes."""
    return (os.cpu_count() or 1) * 2


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(StuckTestWatch())
    translate_once()
    translate_and_check_once()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()


@pytest.fixture
def postgresql_url(postgresql_server: PostgresqlServer) -> str:
    """An empty database."""
    pytest.importorskip("asyncpg", reason="PostgreSQL needs the package asyncpg")
    return emptied(postgresql_server)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """One for all tests that leave it running."""
    if (why := missing()) is not None:
        pytest.skip(why)
    with running_server() as server:
        yield server


@pytest.fixture
def own_server() -> Iterator[PostgresqlServer]:
    """One for a test that stops it."""
    pytest.importorskip("asyncpg", reason="PostgreSQL needs the package asyncpg")
    if (why := missing()) is not None:
        pytest.skip(why)
    with running_server() as server:
        yield server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if SOAK in item.path.parents:
            item.add_marker("soak")
        if PAGE in item.path.parents and "browser" in _fixtures(item):
            item.add_marker("browser")
        if _uses_postgresql(item):
            item.add_marker("postgres")
    if "PYTEST_XDIST_WORKER" in os.environ:
        items[:] = mix(items)


def _fixtures(item: pytest.Item) -> list[str]:
    return getattr(item, "fixturenames", [])


def _uses_postgresql(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    if not {"postgresql_url", "own_server"}.isdisjoint(_fixtures(item)):
        return True
    return call is not None and "postgresql" in (call.params.get("url"), call.params.get("database_kind"))
