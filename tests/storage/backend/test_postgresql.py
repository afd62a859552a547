"""A PostgreSQL server that freezes, restarts or sits behind pgbouncer: every call ends, and nothing is done twice."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.backend.errors import DatabaseRefused, DatabaseTimeouts, StorageUnavailable
from storage.backend.postgresql import MAX_OVERFLOW, POOL_SIZE, connect_to_one
from storage.database import Database, ask_server
from storage.jobs import Accepted
from storage.schema import jobs
from tests.postgresql_server import PORT, PostgresqlServer
from tests.storage.requests import UNLIMITED, accepted, an_imagine, delivered, running
from tests.storage.rules import broken_rules

pytestmark = pytest.mark.posix

QUICK = DatabaseTimeouts(connect=1.0, statement=1.0)
PATIENT = DatabaseTimeouts(connect=60.0, statement=60.0)


@pytest.fixture
async def quick(own_server: PostgresqlServer) -> AsyncIterator[Database]:
    """On a busy machine only its own calls may take too long, not those that prepare it."""
    await (await Database.open(own_server.url(), timeouts=PATIENT)).close()
    database = await eventually(lambda: Database.open(own_server.url(), timeouts=QUICK))
    yield database
    own_server.thaw()
    await database.close()


async def eventually(call: Callable[[], Awaitable[Any]]) -> Any:
    """The result of a call to a server that is slow at first, on a busy machine."""
    async with asyncio.timeout(120):
        while True:
            with suppress(StorageUnavailable):
                return await call()


async def test_calls_fail_while_the_server_is_frozen_and_work_afterwards(quick, own_server):
    job = await eventually(lambda: accepted(quick))
    own_server.freeze()
    calls = [quick.jobs.get(job.id) for _ in range(2 * (POOL_SIZE + MAX_OVERFLOW))]
    calls += [quick.jobs.accept(an_imagine(), UNLIMITED) for _ in range(5)]
    async with asyncio.timeout(60):  # asyncpg alone would wait forever
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(result) for result in results} == {StorageUnavailable}
    own_server.thaw()
    await eventually(lambda: quick.jobs.start([job.id]))
    for _ in range(POOL_SIZE + MAX_OVERFLOW + 1):
        await eventually(lambda: accepted(quick))
    assert await eventually(lambda: broken_rules(quick)) == []


async def test_a_call_that_freezes_in_the_middle_of_its_transaction_gives_its_connection_back(quick, own_server):
    for _ in range(POOL_SIZE + MAX_OVERFLOW + 1):
        with pytest.raises(StorageUnavailable):
            async with quick.transactions.writing(alone_with="something") as connection:
                await connection.execute(text("SELECT pg_sleep(60)"))
    await eventually(lambda: accepted(quick))


async def test_the_claim_is_renewed_while_all_connections_are_busy(own_server):
    """A flood of commands, or a slow server: the bot would stop drawing for fear of another one."""
    database = await Database.open(own_server.url(), timeouts=PATIENT)
    await database.lock()
    async with AsyncExitStack() as busy:
        for _ in range(POOL_SIZE + MAX_OVERFLOW):
            await busy.enter_async_context(database.transactions.reading())
        waiting = asyncio.create_task(database.jobs.live())
        await database.claim._renew()
        assert not waiting.done()
    await waiting
    await database.close()


async def test_a_restart_of_the_server_is_noticed_by_no_later_call(own_server):
    database = await Database.open(own_server.url(), timeouts=PATIENT)
    await asyncio.gather(*(accepted(database) for _ in range(POOL_SIZE)))
    await asyncio.to_thread(own_server.stop, "immediate")
    await asyncio.to_thread(own_server.start)
    await asyncio.gather(*(accepted(database) for _ in range(POOL_SIZE)))
    await database.close()


async def test_a_commit_whose_answer_is_lost_is_not_taken_for_a_failure(own_server, monkeypatch):
    """The server is killed as soon as it has made the change, before it can say so."""
    database = await Database.open(own_server.url(), timeouts=PATIENT)
    commit = AsyncConnection.commit

    async def commit_and_lose_the_answer(connection: AsyncConnection) -> None:
        monkeypatch.setattr(AsyncConnection, "commit", commit)
        await commit(connection)
        own_server.stop("immediate")
        own_server.start()
        raise ConnectionResetError("the answer is lost")

    monkeypatch.setattr(AsyncConnection, "commit", commit_and_lose_the_answer)
    async with database.transactions.writing() as connection:
        await connection.execute(text("UPDATE claims SET epoch = 7"))
    async with database.transactions.reading() as connection:
        assert await connection.scalar(text("SELECT epoch FROM claims")) == 7
    await database.close()


async def test_a_commit_that_never_reached_the_server_is_a_failure(own_server):
    database = await Database.open(own_server.url(), timeouts=PATIENT)
    with pytest.raises(StorageUnavailable):
        async with database.transactions.writing() as connection:
            await connection.execute(text("UPDATE claims SET epoch = 7"))
            own_server.stop("immediate")
            own_server.start()
    async with database.transactions.reading() as connection:
        assert await connection.scalar(text("SELECT epoch FROM claims")) == 0
    await database.close()


async def test_the_locks_of_a_bot_that_fell_silent_do_not_last(postgresql_url):
    database = await Database.open(postgresql_url)
    async with database.transactions.writing() as connection:
        limit = await connection.scalar(text("SHOW idle_in_transaction_session_timeout"))
        assert limit == "1min"
    async with database.transactions.reading() as connection:  # not forever: pgbouncer lends the connection on
        assert await connection.scalar(text("SHOW idle_in_transaction_session_timeout")) == "0"
    await database.close()


@pytest.mark.parametrize(
    "parameters",
    ["sslmode=disable", "sslmode=prefer", "ssl=disable", "application_name=anima", "target_session_attrs=read-write"],
)
async def test_parameters_of_libpq_in_the_address_are_understood(postgresql_url, parameters):
    database = await Database.open(f"{postgresql_url}&{parameters}&schema=own")
    async with database.transactions.reading() as connection:
        assert await connection.scalar(text("SHOW search_path")) == "own"
        if "application_name" in parameters:
            assert await connection.scalar(text("SHOW application_name")) == "anima"
    assert "schema=own" in database.address
    await database.close()


async def test_a_user_who_may_not_create_tables_is_told_what_to_do(postgresql_server, postgresql_url):
    """Since PostgreSQL 15 only the owner of a database may create tables in it."""
    await postgresql_server.execute("DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN", "SELECT 1")
    address = postgresql_url.replace("anima@", "guest@")
    for right in ("SELECT 1", "GRANT USAGE ON SCHEMA public TO guest"):
        await postgresql_server.execute(right, "SELECT 1")
        assert not (await ask_server(address, PATIENT)).may_create
        for schema in ("", "&schema=not_there"):
            with pytest.raises(DatabaseRefused, match=r"may not create or change tables .* OWNER TO user"):
                await Database.open(f"{address}{schema}")
    await postgresql_server.execute("CREATE SCHEMA theirs AUTHORIZATION guest", "SELECT 1")
    await (await Database.open(f"{address}&schema=theirs")).close()
    assert (await ask_server(f"{address}&schema=theirs", PATIENT)).may_create
    await postgresql_server.execute("DROP OWNED BY guest CASCADE", "DROP ROLE guest", "SELECT 1")


async def test_a_database_that_cannot_keep_every_text_is_refused(postgresql_server, postgresql_url):
    await postgresql_server.execute(
        "DROP DATABASE IF EXISTS latin",
        "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'",
        "SELECT 1",
    )
    with pytest.raises(DatabaseRefused, match="has the encoding LATIN1"):
        await Database.open(postgresql_server.url("latin"))


async def test_tls_that_the_address_demands_is_not_done_without():
    pytest.importorskip("asyncpg")

    closed = asyncio.Event()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)  # the request for TLS
        writer.write(b"N")
        await reader.read()
        writer.close()
        await writer.wait_closed()
        closed.set()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(DatabaseRefused, match="SSL"):
            await Database.open(f"postgresql://anima:hunter2@127.0.0.1:{port}/anima?sslmode=require", timeouts=PATIENT)
        await closed.wait()


async def test_a_server_that_became_a_standby_is_left_for_the_one_that_is_the_primary_now(own_server):
    database = await Database.open(own_server.url(), timeouts=PATIENT)
    assert not (await ask_server(own_server.url(), PATIENT)).is_read_only

    async def connection_to(read_only: str) -> int:
        while True:
            async with database.transactions.reading() as connection:
                if await connection.scalar(text("SHOW transaction_read_only")) == read_only:
                    return await connection.scalar(text("SELECT pg_backend_pid()"))

    await own_server.execute("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    async with asyncio.timeout(60):
        before = await connection_to(read_only="on")
    with pytest.raises(StorageUnavailable, match=r"\(cannot execute INSERT in a read-only transaction\)"):
        await accepted(database)
    assert await connection_to(read_only="on") != before, "it may be to another server"
    assert (await ask_server(own_server.url(), PATIENT)).is_read_only
    await database.close()


async def test_a_frozen_server_of_several_does_not_keep_the_bot_from_the_others():
    tried: list[tuple[str, int, float]] = []

    async def connect(host: str, port: int, timeout: float, user: str) -> str:
        tried.append((host, port, timeout))
        if host == "frozen":
            raise TimeoutError
        if host == "odd":
            raise ValueError(host)
        return f"{user} at {host}"

    async def connected(*hosts: str) -> str:
        ports = range(1, len(hosts) + 1)
        return await connect_to_one(connect, (OSError,), host=hosts, port=ports, timeout=9.0, user="anima")

    assert await connected("frozen", "frozen", "primary") == "anima at primary"
    assert tried == [("frozen", 1, 3.0), ("frozen", 2, 3.0), ("primary", 3, 3.0)]
    assert await connected("primary", "frozen") == "anima at primary"
    with pytest.raises(TimeoutError):
        await connected("frozen", "frozen")
    with pytest.raises(ValueError, match="odd"):
        await connected("odd", "primary")


async def test_several_servers_in_the_address_are_tried_in_turn(postgresql_server, postgresql_url):
    nobody = postgresql_server.folder / "nobody"
    hosts = f"host={nobody},{postgresql_server.folder}&port={PORT},{PORT}&target_session_attrs=read-write"
    database = await Database.open(f"postgresql://anima@/postgres?{hosts}", timeouts=PATIENT)
    await accepted(database)
    await database.close()


async def test_a_server_without_a_free_connection_is_an_outage(own_server):
    import asyncpg

    database = await Database.open(own_server.url(), timeouts=PATIENT)
    await database._engine.dispose()
    others = []
    with suppress(asyncpg.TooManyConnectionsError):
        while True:
            others.append(await asyncpg.connect(host=str(own_server.folder), user="anima", database="postgres"))
    with pytest.raises(StorageUnavailable, match=r"\(sorry, too many clients already\)"):
        await accepted(database)
    for other in others:
        await other.close()
    await eventually(lambda: accepted(database))
    await database.close()


@pytest.fixture
def pgbouncer(postgresql_server: PostgresqlServer, postgresql_url: str, tmp_path: Path) -> Iterator[str]:
    """The address of a pgbouncer in transaction mode that has two connections for everybody."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed here")
    folder = postgresql_server.folder / "pgbouncer"
    folder.mkdir(exist_ok=True)
    if postgresql_server.user is not None:
        shutil.chown(folder, postgresql_server.user)
    configuration = tmp_path / "pgbouncer.ini"
    configuration.write_text(
        f"[databases]\n* = host={postgresql_server.folder} user=anima\n[pgbouncer]\npool_mode = transaction\n"
        f"default_pool_size = 2\nauth_type = any\nlisten_port = 6432\nunix_socket_dir = {folder}\nlisten_addr =\n"
    )
    configuration.chmod(0o644)
    for parent in configuration.parents:  # its user has to reach the file
        if parent.stat().st_uid == os.getuid() and parent != parent.parent:
            parent.chmod(parent.stat().st_mode | 0o055)
    process = subprocess.Popen([program, "-q", str(configuration)], user=postgresql_server.user)
    try:
        until = time.monotonic() + 60
        while not (folder / ".s.PGSQL.6432").exists():
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.01)
        yield f"postgresql://anima@/postgres?host={folder}&port=6432"
    finally:
        process.kill()
        process.wait()


async def test_all_of_it_works_behind_pgbouncer_in_transaction_mode(pgbouncer):
    first, second = await Database.open(pgbouncer, timeouts=PATIENT), await Database.open(pgbouncer, timeouts=PATIENT)
    assert await first.lock()
    assert not await second.lock()
    await asyncio.gather(*(delivered(first) for _ in range(20)), *(running(first) for _ in range(20)))
    verdicts = await asyncio.gather(*(second.jobs.accept(an_imagine(), UNLIMITED) for _ in range(20)))
    assert all(isinstance(verdict, Accepted) for verdict in verdicts)
    assert await broken_rules(first) == []
    async with second.transactions.reading() as connection:
        assert await connection.scalar(select(func.count()).select_from(jobs)) == 60
    await first.claim.release()
    assert await second.lock()
    await first.close()
    await second.close()
