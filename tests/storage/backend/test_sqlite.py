"""SQLite's file: what each connection is set to, and disks on which it cannot be trusted."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

import pytest
from sqlalchemy import make_url, select, update
from sqlalchemy.exc import OperationalError

from storage.backend.errors import DatabaseRefused, StorageUnavailable
from storage.backend.sqlite import examine, is_on_network_share, sqlite_engine, synced
from storage.backend.transactions import _PriorityLock
from storage.database import Database
from storage.schema import claims
from tests.storage.requests import accepted


async def test_a_commit_reaches_the_disk_on_macos_too(tmp_path: Path) -> None:
    engine = sqlite_engine(make_url(f"sqlite+aiosqlite:///{tmp_path}/anima.db"))
    async with engine.begin() as connection:
        for pragma, value in (("synchronous", 2), ("fullfsync", 1), ("checkpoint_fullfsync", 1)):
            assert (await connection.exec_driver_sql(f"PRAGMA {pragma}")).scalar() == value
    await engine.dispose()


async def test_a_new_database_is_opened_while_another_connection_writes_its_first_tables(tmp_path: Path) -> None:
    """Until the first connection has changed the journal's mode, SQLite refuses the second without waiting."""
    with closing(sqlite3.connect(tmp_path / "anima.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        engine = sqlite_engine(make_url(f"sqlite+aiosqlite:///{tmp_path}/anima.db"))
        connecting = asyncio.ensure_future(engine.connect().start())
        done, _ = await asyncio.wait([connecting], timeout=0.2)
        assert not done
        other.execute("COMMIT")
        await (await connecting).close()
    await engine.dispose()


async def test_a_database_that_stays_locked_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.backend.sqlite.BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(tmp_path / "anima.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        engine = sqlite_engine(make_url(f"sqlite+aiosqlite:///{tmp_path}/anima.db"))
        with pytest.raises(OperationalError, match="locked"):
            await engine.connect().start()
    await engine.dispose()


@pytest.mark.posix
async def test_a_disk_without_shared_memory_is_refused(tmp_path: Path) -> None:
    """SQLite's own way to use such disks, `unix-dotfile`, stays in the old mode, as it does on a network drive."""
    engine = sqlite_engine(make_url(f"sqlite+aiosqlite:///file:{tmp_path}/anima.db?vfs=unix-dotfile&uri=true"))
    with pytest.raises(DatabaseRefused, match=r"network drive .* It must be on a disk of this computer"):
        async with engine.begin():
            pass
    await engine.dispose()


@pytest.mark.parametrize(
    ("file", "share"),
    [
        (PureWindowsPath(r"\\server\share\anima.db"), True),
        (PureWindowsPath("//server/share/anima.db"), True),
        (PureWindowsPath(r"C:\anima\anima.db"), False),
        (PureWindowsPath("anima.db"), False),
        (PurePosixPath("//server/share/anima.db"), False),  # a folder like any other
    ],
)
def test_a_share_is_known_by_its_path_on_windows(file: PurePath, share: bool) -> None:
    assert is_on_network_share(file) is share


def test_a_database_on_a_share_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("storage.backend.sqlite.is_on_network_share", lambda _file: True)
    with pytest.raises(DatabaseRefused, match="It must be on a disk of this computer"):
        examine(tmp_path / "anima.db")
    assert not (tmp_path / "anima.db").exists()


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (PureWindowsPath(r"C:\Users\me\OneDrive\Documents\anima\anima.db"), True),
        (PureWindowsPath(r"C:\Users\me\OneDrive - Company\anima.db"), True),
        (PurePosixPath("/Users/me/Library/Mobile Documents/com~apple~CloudDocs/anima.db"), True),
        (PurePosixPath("/Users/me/Library/CloudStorage/Dropbox/anima.db"), True),
        (PurePosixPath("/home/me/anima/OneDrive"), False),  # the file itself
        (PureWindowsPath(r"C:\anima-bot\anima.db"), False),
    ],
)
def test_a_synchronized_folder_is_warned_of(file: PurePath, said: bool) -> None:
    assert (synced(file) is not None) is said


async def test_the_warning_is_in_the_log_at_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    database = await Database.open(f"sqlite:///{tmp_path}/Dropbox/anima.db")
    await database.close()
    assert "synchronized with other computers" in caplog.text


async def test_closing_waits_for_the_connection_of_a_cancelled_reader(tmp_path: Path) -> None:
    database = await Database.open(f"sqlite:///{tmp_path}/anima.db")
    inside = asyncio.Event()

    async def read() -> None:
        async with database.transactions.reading():
            inside.set()
            await asyncio.Event().wait()

    reader = asyncio.create_task(read())
    await inside.wait()
    reader.cancel()
    await asyncio.sleep(0)  # it hears of it
    await database.transactions.drain()
    assert database._engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    await database.close()


async def test_closing_waits_for_transactions_that_run_and_begins_no_others(tmp_path: Path) -> None:
    database = await Database.open(f"sqlite:///{tmp_path}/anima.db")
    inside, goes_on = asyncio.Event(), asyncio.Event()

    async def change() -> None:
        async with database.transactions.writing() as connection:
            inside.set()
            await goes_on.wait()
            await connection.execute(update(claims).values(holder="changed in the end"))

    changing = asyncio.create_task(change())
    await inside.wait()
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0.05)
    assert not closing.done()
    goes_on.set()
    await asyncio.gather(changing, closing)
    assert database._engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    with pytest.raises(StorageUnavailable, match="closed"):
        async with database.transactions.reading():
            pass
    again = await Database.open(f"sqlite:///{tmp_path}/anima.db")
    async with again.transactions.reading() as connection:
        assert await connection.scalar(select(claims.c.holder)) == "changed in the end"
    await again.close()


async def test_what_an_engine_waits_for_goes_before_other_changes(sqlite: Database) -> None:
    job = await accepted(sqlite)
    order: list[str] = []

    async def change(name: str, urgent: bool = False) -> None:
        async with sqlite.transactions.writing(urgent=urgent):
            order.append(name)

    async def start() -> None:
        [started] = await sqlite.jobs.start([job.id])
        order.append(started.state.value)

    async with sqlite.transactions.writing():
        usual = [asyncio.create_task(change(f"change {number}")) for number in range(3)]
        await asyncio.sleep(0.05)
        starting = asyncio.create_task(start())
        dropped = asyncio.create_task(change("dropped", urgent=True))
        await asyncio.sleep(0.05)
        usual.pop(1).cancel()
        dropped.cancel()
        assert order == []
    await asyncio.gather(starting, *usual)
    assert order == ["running", "change 0", "change 2"]
    await change("later")


async def test_a_turn_that_comes_as_its_owner_is_cancelled_goes_to_the_next(sqlite: Database) -> None:
    lock, entered = _PriorityLock(), asyncio.Event()

    async def enter() -> None:
        async with lock.hold():
            entered.set()

    async with lock.hold():
        cancelled, following = asyncio.create_task(enter()), asyncio.create_task(enter())
        await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.wait_for(following, 60)
    await asyncio.gather(cancelled, return_exceptions=True)
    assert cancelled.cancelled() and entered.is_set()
    async with asyncio.timeout(60), lock.hold():
        pass
