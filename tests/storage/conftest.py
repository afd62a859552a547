"""Databases on SQLite and PostgreSQL, with a clock that tests turn."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.database import Database
from tests.migrated_database import put_migrated_database, put_migrated_tables


class TurnableClock:
    def __init__(self) -> None:
        self.now = datetime(2026, 8, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def turn(self, by: timedelta) -> None:
        self.now += by


@pytest.fixture
def clock() -> TurnableClock:
    return TurnableClock()


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    return tmp_path / "anima.db"


@pytest.fixture
def sqlite_url(sqlite_file: Path) -> str:
    return f"sqlite:///{sqlite_file}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """An empty database; a test that asks for it runs on both kinds."""
    name: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgresql_url")
    return name


@pytest.fixture
async def database(
    request: pytest.FixtureRequest, url: str, sqlite_file: Path, clock: TurnableClock
) -> AsyncIterator[Database]:
    if url.startswith("sqlite"):
        await put_migrated_database(sqlite_file)
    else:
        await put_migrated_tables(request.getfixturevalue("postgresql_server"))
    database = await Database.open(url, clock)
    yield database
    await database.close()


@pytest.fixture
async def sqlite(sqlite_file: Path, sqlite_url: str, clock: TurnableClock) -> AsyncIterator[Database]:
    await put_migrated_database(sqlite_file)
    database = await Database.open(sqlite_url, clock)
    yield database
    await database.close()
