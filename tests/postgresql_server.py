"""A PostgreSQL server of the tests' own: without network, in a temporary folder, gone at the end."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from tests.signals import send_signal

#: How long PostgreSQL may take to start, stop and connect; long, because the machine may be busy.
START_SECONDS = "240"
PORT = 5432


def missing() -> str | None:
    """Why no server can be started here; None if it can."""
    if _bin_folder() is None:
        return "no PostgreSQL server is installed here"
    if not _has_name(os.getuid()):
        return "PostgreSQL does not run as a user without a name"
    return None


def _bin_folder() -> Path | None:
    initdb = shutil.which("initdb") or max(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), default=None)
    return None if initdb is None else Path(initdb).resolve().parent


def _has_name(user_id: int) -> bool:
    import pwd  # which Windows does not have

    try:
        pwd.getpwuid(user_id)
    except KeyError:
        return False
    return True


class PostgresqlServer:
    """`folder` has the socket, and the data in a folder of its own."""

    def __init__(self, folder: Path, *, settings: str = "-c fsync=off", port: int = PORT) -> None:
        programs = _bin_folder()
        assert programs is not None
        self._programs = programs
        self.folder = folder
        self.port = port
        self.data = folder / f"data-{port}"
        self._settings = settings
        #: PostgreSQL does not run as root.
        self.user = "nobody" if os.getuid() == 0 else None
        if self.user is not None:
            shutil.chown(folder, self.user)

    @property
    def socket(self) -> Path:
        return self.folder / f".s.PGSQL.{self.port}"

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://anima@/{database}?host={self.folder}"

    def run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        subprocess.run(command, check=True, user=self.user, cwd=self.folder, stdout=subprocess.DEVNULL)

    def initialize(self) -> None:
        self.run("initdb", "-D", str(self.data), "--auth=trust", "--username=anima", "--encoding=UTF8", "--no-sync")

    def start(self) -> None:
        options = (
            f"-c listen_addresses= -c port={self.port} -c unix_socket_directories={self.folder} "
            f"-c max_connections=60 {self._settings}"
        )
        self._control("-o", options, "-l", str(self.folder / f"log-{self.port}"), "start")

    def stop(self, mode: str = "immediate") -> None:
        """`mode`: smart, fast or immediate, which is like a power failure."""
        self.thaw()
        self._control("-m", mode, "stop")

    def promote(self) -> None:
        self._control("promote")

    def _control(self, *arguments: str) -> None:
        self.run("pg_ctl", "-D", str(self.data), "-w", "-t", START_SECONDS, *arguments)

    def freeze(self) -> None:
        """Nothing answers any more, and no connection is closed."""
        send_signal(signal.SIGSTOP, self._processes())

    def thaw(self) -> None:
        send_signal(signal.SIGCONT, self._processes())

    def _processes(self) -> list[psutil.Process]:
        """The postmaster first, so that it does not see the others stop."""
        with suppress(FileNotFoundError, psutil.NoSuchProcess):
            postmaster = psutil.Process(int((self.data / "postmaster.pid").read_text(encoding="utf-8").split()[0]))
            return [postmaster, *postmaster.children(recursive=True)]
        return []

    async def execute(self, *statements: str, database: str = "postgres") -> Any:
        """Run statements outside of transactions; the first value of the last one's answer."""
        import asyncpg

        connection = await asyncpg.connect(
            host=str(self.folder), port=self.port, user="anima", database=database, timeout=int(START_SECONDS)
        )
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetchval(statements[-1])
        finally:
            await connection.close()

    async def empty(self) -> None:
        await self.execute("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")


@contextmanager
def postgresql_server(**options: Any) -> Iterator[PostgresqlServer]:
    folder = Path(tempfile.mkdtemp(prefix="anima-pg-"))
    server = PostgresqlServer(folder, **options)
    server.initialize()
    server.start()
    try:
        yield server
    finally:
        with suppress(subprocess.CalledProcessError):  # a test may have stopped it
            server.stop()
        shutil.rmtree(folder)


def emptied(server: PostgresqlServer) -> str:
    """The address of the server's database, with nothing in it."""
    with asyncio.Runner() as runner:
        runner.run(server.empty())
    return server.url()
