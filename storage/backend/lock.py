"""A file lock that is released when its process ends, even if it is killed."""

import asyncio
import sqlite3
from pathlib import Path


class FileLock:
    """An exclusive SQLite lock on an empty file, because that works on every system."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock: sqlite3.Connection | None = None

    async def acquire(self) -> bool:
        """False if another process holds it."""
        if self._lock is None:
            self._lock = await asyncio.to_thread(self._try)
        return self._lock is not None

    async def release(self) -> None:
        if self._lock:
            self._lock.close()
            self._lock = None

    def _try(self) -> sqlite3.Connection | None:
        lock = sqlite3.connect(self._file, isolation_level=None, timeout=0, check_same_thread=False)
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            lock.close()
            return None
        return lock
