"""Opening, migrating, locking and failing databases."""

import asyncio
import os
import shutil
import sqlite3
import stat
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.exc import IntegrityError

from storage.backend.errors import DatabaseRefused, StorageUnavailable
from storage.database import Database
from storage.migrations import latest_revisions, revisions
from storage.schema import metadata
from tests.storage.requests import ALICE, UNLIMITED, accepted, an_image, an_imagine, delivered, running
from tests.storage.rules import broken_rules

ROOT = Path(__file__).parents[2]


async def refusal(url: str) -> str:
    with pytest.raises(DatabaseRefused) as refused:
        await Database.open(url)
    sentence = str(refused.value)
    assert "\n" not in sentence and sentence.endswith(".")
    return sentence


async def test_a_new_file_is_made_with_its_folder_and_is_its_owners(tmp_path):
    file = tmp_path / "new" / "folder" / "anima.db"
    database = await Database.open(f"sqlite:///{file}")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    await database.close()


async def test_every_connection_is_set_up_for_power_failures_and_foreign_keys(sqlite):
    async def pragma(name: str) -> Any:
        async with sqlite.transactions.reading() as connection:
            await barrier.wait()
            return await connection.scalar(text(f"PRAGMA {name}"))

    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1, "busy_timeout": 10_000}
    barrier = asyncio.Barrier(len(wanted))
    found = await asyncio.gather(*map(pragma, wanted))
    assert dict(zip(wanted, found, strict=True)) == wanted


async def test_models_and_migrations_agree(database):
    def differences(connection: Connection) -> list[Any]:
        return [
            difference
            for difference in compare_metadata(MigrationContext.configure(connection), metadata)
            if not names_the_search_index(difference)
        ]

    async with database.transactions.reading() as connection:
        assert await connection.run_sync(differences) == []


def names_the_search_index(difference: Any) -> bool:
    return difference[0] in ("remove_table", "remove_index") and difference[1].name.startswith("picture_words")


async def test_models_and_migrations_agree_to_the_last_constraint(sqlite):
    models = create_engine("sqlite://")
    metadata.create_all(models)
    async with sqlite.transactions.reading() as connection:
        migrated = await connection.run_sync(description)
    with models.connect() as connection:
        assert migrated == description(connection)
    models.dispose()


def description(connection: Connection) -> dict[str, Any]:
    tables = inspect(connection)
    return {
        table: {
            "columns": {column["name"]: str(column) for column in tables.get_columns(table)},
            "primary key": tables.get_pk_constraint(table),
            "foreign keys": tables.get_foreign_keys(table),
            "unique": tables.get_unique_constraints(table),
            "checks": sorted(check["name"] + check["sqltext"] for check in tables.get_check_constraints(table)),
            "indexes": sorted(
                (index["name"], index["column_names"], str(index["dialect_options"].get("sqlite_where")))
                for index in tables.get_indexes(table)
            ),
            "counts up": connection.scalar(
                text("SELECT sql LIKE '%AUTOINCREMENT%' FROM sqlite_master WHERE name = :table"), {"table": table}
            ),
        }
        for table in metadata.tables
    }


async def test_opening_again_keeps_everything(url):
    before = await Database.open(url)
    job = await accepted(before)
    await before.close()
    after = await Database.open(url)
    assert await after.jobs.get(job.id) == job
    await after.close()


async def test_several_may_open_a_new_database_at_once(url):
    opened = await asyncio.gather(*(Database.open(url) for _ in range(4)))
    await asyncio.gather(*(accepted(database) for database in opened))
    assert len(await opened[0].jobs.live_of(ALICE)) == 4
    for database in opened:
        await database.close()


async def test_a_database_of_this_version_is_opened_without_alembic(url, monkeypatch):
    await (await Database.open(url)).close()
    monkeypatch.setattr(revisions, "upgrade_tables", lambda _: pytest.fail("there was nothing to do"))
    await (await Database.open(url)).close()


def test_the_latest_revision_is_the_one_that_alembic_finds():
    assert latest_revisions() == set(revisions.migration_scripts().get_heads())


async def test_work_that_cannot_be_cancelled_needs_one_task(url):
    async def task():
        return asyncio.current_task()

    async def both():
        return await task(), await database.transactions.finish(task())

    database = await Database.open(url)
    outer, inner = await database.transactions.finish(both())
    await database.close()
    assert outer is inner is not asyncio.current_task()


async def test_a_database_of_a_newer_version_is_refused(url):
    database = await Database.open(url)
    async with database.transactions.writing() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await database.close()
    sentence = await refusal(url)
    assert "newer version" in sentence and "9999" in sentence


async def filled(url: str) -> None:
    database = await Database.open(url)
    for number in range(30):
        await delivered(database, message_id=number + 1, prompt=f"{number} " + "red hair, " * 50)
    await database.close()


@pytest.mark.parametrize("damage", ["is another kind of file", "lost its middle", "lost its end", "lost its head"])
async def test_a_damaged_file_is_refused_and_left_as_it_is(sqlite_file, sqlite_url, damage):
    await filled(sqlite_url)
    whole = sqlite_file.read_bytes()
    page, middle = 4096, len(whole) // 2 // 4096 * 4096
    content = {
        "is another kind of file": b"# Notes\n" * 2000,
        "lost its middle": whole[:middle] + b"\xaa" * page * 4 + whole[middle + page * 4 :],
        "lost its end": whole[:middle],
        "lost its head": b"\0" * page + whole[page:],
    }[damage]
    sqlite_file.write_bytes(content)
    sentence = await refusal(sqlite_url)
    assert "damaged" in sentence and str(sqlite_file) in sentence
    assert sqlite_file.read_bytes() == content


async def test_a_damaged_file_is_left_alone_even_where_a_log_waits_to_be_written_into_it(sqlite_file, sqlite_url):
    await filled(sqlite_url)
    with closing(sqlite3.connect(sqlite_file)) as connection:
        connection.execute("UPDATE jobs SET reason = 'in the log'")
        connection.commit()
        log = sqlite_file.with_name(f"{sqlite_file.name}-wal").read_bytes()
        assert log
    content = sqlite_file.read_bytes()
    content = content[:8192] + b"\xaa" * (len(content) - 8192)
    sqlite_file.write_bytes(content)
    sqlite_file.with_name(f"{sqlite_file.name}-wal").write_bytes(log[:100])
    assert "damaged" in await refusal(sqlite_url)
    assert sqlite_file.read_bytes() == content


async def test_the_log_of_a_damaged_file_is_not_written_into_it(sqlite_file, sqlite_url):
    await filled(sqlite_url)
    log = sqlite_file.with_name(f"{sqlite_file.name}-wal")
    with closing(sqlite3.connect(sqlite_file)) as connection:
        connection.execute("CREATE TABLE notes (words)")
        connection.commit()
        before, waiting = sqlite_file.read_bytes(), log.read_bytes()
    middle = len(before) // 2 // 4096 * 4096
    content = before[:middle] + b"\xaa" * 4096 * 4 + before[middle + 4096 * 4 :]
    sqlite_file.write_bytes(content)
    log.write_bytes(waiting)
    assert "damaged" in await refusal(sqlite_url)
    assert (sqlite_file.read_bytes(), log.read_bytes()) == (content, waiting)


async def test_a_change_that_a_kill_cut_off_is_rolled_back_at_the_next_start(sqlite_file, sqlite_url, tmp_path):
    file = tmp_path / "before"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(
            "PRAGMA cache_size = 1; CREATE TABLE notes (words); INSERT INTO notes VALUES ('whole');"
        )
        connection.execute("BEGIN")
        connection.execute("UPDATE notes SET words = 'half'")
        connection.executemany("INSERT INTO notes VALUES (?)", [("half" * 500,)] * 100)
        shutil.copy(file, sqlite_file)
        shutil.copy(f"{file}-journal", f"{sqlite_file}-journal")
    with (
        pytest.raises(sqlite3.OperationalError, match="readonly"),
        closing(sqlite3.connect(f"file:{sqlite_file}?mode=ro", uri=True)) as connection,
    ):
        connection.execute("SELECT * FROM notes")

    database = await Database.open(sqlite_url)
    async with database.transactions.reading() as connection:
        assert (await connection.execute(text("SELECT words FROM notes"))).scalars().all() == ["whole"]
    await database.close()


async def test_a_file_that_another_process_has_to_itself_is_not_called_damaged(sqlite_file, sqlite_url, monkeypatch):
    await filled(sqlite_url)
    with closing(sqlite3.connect(sqlite_file, isolation_level=None)) as another:
        another.execute("PRAGMA locking_mode = EXCLUSIVE")
        another.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr("storage.backend.sqlite.BUSY_SECONDS", 0.05)
        assert "cannot be read now (database is locked)" in await refusal(sqlite_url)


@pytest.mark.posix
async def test_a_read_only_folder_or_file_is_refused(sqlite_url):
    await filled(sqlite_url)  # so that nothing is left to import when the rights are given up
    folder = Path(tempfile.mkdtemp())
    file = folder / "anima.db"
    try:
        file.touch()
        file.chmod(0o444)
        folder.chmod(0o777)
        with nobody():
            assert f"The database {file} " in await refusal(f"sqlite:///{file}")
        folder.chmod(0o555)
        with nobody():
            assert f"The folder {folder} is read-only" in await refusal(f"sqlite:///{file}")
            assert f"The database {folder}/new/anima.db " in await refusal(f"sqlite:///{folder}/new/anima.db")
    finally:
        folder.chmod(0o777)
        shutil.rmtree(folder)


class nobody:
    """Root may write anything, so whoever runs the tests as root is somebody else for a moment."""

    def __enter__(self) -> None:
        self.root = os.getuid() == 0
        if self.root:
            os.setresuid(65534, 65534, 0)

    def __exit__(self, *_: object) -> None:
        if self.root:
            os.setresuid(0, 0, 0)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("mysql://localhost/anima", "starts with mysql://"),
        ("anima.db", "is not a valid address"),
        ("", "is not a valid address"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
async def test_an_address_of_another_kind_is_refused(address, said):
    assert said in await refusal(address)


async def test_a_server_that_does_not_answer_is_refused_without_telling_the_password():
    pytest.importorskip("asyncpg")
    sentence = await refusal("postgresql://anima:hunter2@127.0.0.1:1/anima")
    assert "could not be opened" in sentence and "hunter2" not in sentence


async def test_readers_do_not_wait_for_a_writer_nor_see_what_is_not_committed(database):
    await accepted(database)
    async with database.transactions.writing() as connection:
        await connection.execute(text("UPDATE jobs SET state = 'running'"))
        [job] = await database.jobs.live_of(ALICE)
        assert job.state == "queued"


async def test_an_error_undoes_the_whole_transaction(database):
    job = await running(database)
    with pytest.raises(IntegrityError):
        await database.jobs.rendered(job.id, [an_image(0), an_image(0)])
    assert (await database.jobs.get(job.id)).state == "running"
    assert await database.images.of_job(job.id) == ()


async def test_a_writer_that_is_cancelled_keeps_nothing_and_blocks_nobody(database):
    async def write_and_linger() -> None:
        async with database.transactions.writing(alone_with="something") as connection:
            await connection.execute(text("UPDATE jobs SET state = 'running'"))
            lingering.set()
            await asyncio.sleep(60)

    job = await accepted(database)
    for _ in range(20):
        lingering = asyncio.Event()
        writer = asyncio.create_task(write_and_linger())
        await lingering.wait()
        writer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writer
    assert (await database.jobs.get(job.id)).state == "queued"
    assert [started.id for started in await database.jobs.start([job.id])] == [job.id]


async def test_commands_cancelled_at_any_moment_leave_a_sound_database(database):
    for number in range(40):
        command = asyncio.create_task(database.jobs.accept(an_imagine(), UNLIMITED))
        await asyncio.sleep(number / 10_000)
        command.cancel()
        await asyncio.gather(command, return_exceptions=True)
    await accepted(database)
    assert await broken_rules(database) == []


async def test_a_database_that_another_process_keeps_locked_says_so_and_comes_back(
    sqlite_url, sqlite_file, monkeypatch
):
    monkeypatch.setattr("storage.backend.sqlite.BUSY_SECONDS", 0.05)
    database = await Database.open(sqlite_url)
    with closing(sqlite3.connect(sqlite_file, isolation_level=None)) as another:
        another.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageUnavailable, match="Another process has locked the database"):
            await accepted(database)
        another.execute("ROLLBACK")
    await accepted(database)
    await database.close()


async def test_a_full_disk_says_so_and_loses_nothing(sqlite):
    job = await running(sqlite)
    async with sqlite.transactions.writing() as connection:
        pages = await connection.scalar(text("PRAGMA page_count"))
        await connection.execute(text(f"PRAGMA max_page_count = {pages + 20}"))
    with pytest.raises(StorageUnavailable, match="disk is full"):
        await sqlite.jobs.rendered(job.id, [an_image(content=bytes(1_000_000))])
    assert (await sqlite.jobs.get(job.id)).state == "running"
    assert await broken_rules(sqlite) == []
    assert await sqlite.jobs.rendered(job.id, [an_image(content=bytes(1000))])


async def test_errors_do_not_tell_prompts(database):
    with pytest.raises(IntegrityError) as error:
        await database.jobs.accept(an_imagine(kind=None, prompt="my dear one"), UNLIMITED)
    assert "dear" not in str(error.value)
