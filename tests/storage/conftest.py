import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.database import Database

#: How long PostgreSQL may take to start, stop and connect; long, because the machine may be busy.
START_SECONDS = "240"


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
async def database(url: str, clock: TurnableClock) -> AsyncIterator[Database]:
    database = await Database.open(url, clock)
    yield database
    await database.close()


@pytest.fixture
async def sqlite(sqlite_url: str, clock: TurnableClock) -> AsyncIterator[Database]:
    database = await Database.open(sqlite_url, clock)
    yield database
    await database.close()


@pytest.fixture
def postgresql_url(postgresql_server: str) -> str:
    asyncpg = pytest.importorskip("asyncpg", reason="PostgreSQL needs the package asyncpg")

    async def empty() -> None:
        connection = await asyncpg.connect(
            host=postgresql_server, user="anima", database="postgres", timeout=int(START_SECONDS)
        )
        await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        await connection.close()

    with asyncio.Runner() as runner:
        runner.run(empty())
    return f"postgresql://anima@/postgres?host={postgresql_server}"


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The folder of the socket of a PostgreSQL server for these tests, without network and without fsync."""
    programs = shutil.which("initdb") or next(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), None)
    if programs is None:
        pytest.skip("no PostgreSQL server is installed here")
    if not _has_name(os.getuid()):
        pytest.skip("PostgreSQL does not run as a user without a name")
    bin_folder = Path(programs).resolve().parent
    folder = Path(tempfile.mkdtemp(prefix="anima-pg-"))
    user = None
    if os.getuid() == 0:  # PostgreSQL does not run as root
        user = "nobody"
        shutil.chown(folder, user)
    data = folder / "data"

    def run(program: str, *arguments: str) -> None:
        command = [str(bin_folder / program), "-D", str(data), *arguments]
        subprocess.run(command, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)

    run("initdb", "--auth=trust", "--username=anima", "--encoding=UTF8", "--no-sync")
    settings = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off -c max_connections=60"
    run("pg_ctl", "-o", settings, "-l", str(folder / "log"), "-w", "-t", START_SECONDS, "start")
    yield str(folder)
    run("pg_ctl", "-m", "immediate", "-w", "-t", START_SECONDS, "stop")
    shutil.rmtree(folder)


def _has_name(user_id: int) -> bool:
    import pwd  # which Windows does not have

    try:
        pwd.getpwuid(user_id)
    except KeyError:
        return False
    return True
