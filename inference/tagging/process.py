"""A tagger in its own process: its memory is freed when it is idle, and a crash ends only that process.

The process starts with the first image, which waits for the model to load, and ends by itself after being idle for a
while. Unlike a thread, it can be killed if it takes too long.
"""

from __future__ import annotations

import atexit
import io
import logging
import multiprocessing
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

from inference.child_process import (
    CONNECTION_LOST,
    EXIT_GRACE,
    exit_reason,
    ignore_signals,
    pipe,
    send_in_thread,
)
from inference.tagging.tag_list import TaggerError, TagGuess

if TYPE_CHECKING:
    from inference.tagging.tagger import Tagger

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TaggerTimeouts:
    """Seconds for starting and loading, for one image, and of idleness until the process ends."""

    loading: float = 180.0
    tagging: float = 60.0
    idle: float = 600.0


class TaggerLost(RuntimeError):
    """The tagger's process ended, or was ended because it was too slow; the next image starts another."""


class TaggerProcess:
    """Its methods block. Several threads may call `guesses`; their images are tagged one at a time."""

    def __init__(
        self,
        path: str,
        timeouts: TaggerTimeouts | None = None,
        load: Callable[[str], Tagger] | None = None,
    ) -> None:
        """`path`: as in `Tagger.load`. `load`: makes the tagger in the new process; it must be picklable."""
        self._path = path
        self._timeouts = timeouts or TaggerTimeouts()
        self._load = load or load_tagger
        self._turn = threading.Lock()
        self._lifecycle = threading.RLock()  # `stop` may come while another thread is in `guesses`
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._is_stopped = False

    @property
    def pid(self) -> int | None:
        """The process ID, if the process is running."""
        process = self._process
        return process.pid if process is not None and process.is_alive() else None

    def guesses(self, png: bytes) -> list[TagGuess]:
        """As `Tagger.guesses`, for a PNG file. Raises TaggerError if the tagger cannot be used, and TaggerLost."""
        with self._turn:
            with suppress(_Idle):  # it may be ending just now, because it was idle
                if self.pid is None:
                    self._start()
                return self._ask(png)
            with suppress(_Idle):
                self._start()
                return self._ask(png)
        raise TaggerLost("The tagger's process ended right after its start.")

    def stop(self) -> None:
        """End the process; no other is started. A call in another thread raises TaggerLost."""
        self._is_stopped = True
        self._end()

    def _start(self) -> None:
        """Start the process. Raises TaggerError with the reason if the tagger cannot be loaded, and TaggerLost."""
        with self._lifecycle:
            self._end()
            if self._is_stopped:
                raise TaggerLost("The tagger was stopped.")
            context = multiprocessing.get_context("spawn")
            self._connection, theirs = pipe(context)
            self._process = context.Process(
                target=_serve, args=(self._load, self._path, theirs, self._timeouts.idle), name="tagger", daemon=True
            )
            self._process.start()
            atexit.register(self._end)
            theirs.close()
        answer = self._receive(self._timeouts.loading)
        if isinstance(answer, Exception):
            self._end()
            raise answer

    def _ask(self, png: bytes) -> list[TagGuess]:
        send_in_thread(self._open_connection(), png, "to the tagger")
        answer = self._receive(self._timeouts.tagging)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, list)
        return answer

    def _receive(self, seconds: float) -> object:
        connection, process = self._open_connection(), self._process
        sentinels = [] if process is None else [process.sentinel]
        try:
            ready = wait([connection, *sentinels], seconds)
            if connection.poll():  # read what it sent before it ended
                return connection.recv()
        except CONNECTION_LOST:
            raise self._lost() from None
        if ready:  # its sentinel, which can be ready just before `is_alive` becomes false
            raise self._lost()
        self._end()
        raise TaggerLost(f"The tagger was silent for {seconds:g} s, so its process was stopped.")

    def _open_connection(self) -> Connection:
        if self._connection is None:
            raise TaggerLost("The tagger was stopped.")
        return self._connection

    def _lost(self) -> Exception:
        """Why the other end is gone; the process is ended."""
        process = self._process
        if process is not None:
            process.join(EXIT_GRACE)
        code = None if process is None else process.exitcode
        self._end()
        return _Idle() if code == 0 and not self._is_stopped else TaggerLost(exit_reason(code, what="tagger"))

    def _end(self) -> None:
        with self._lifecycle:
            atexit.unregister(self._end)
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            if self._process is not None:
                self._process.kill()  # it has no data that could be lost
                self._process.join(EXIT_GRACE)
                self._process = None


class _Idle(Exception):
    """The process ended by itself because it was idle."""


def load_tagger(path: str) -> Tagger:
    """`Tagger.load`, importable without its dependencies."""
    from inference.tagging.tagger import Tagger

    return Tagger.load(Path(path))


def _serve(load: Callable[[str], Tagger], path: str, connection: Connection, idle: float) -> None:
    """The tagger's side: load, then tag images until the other end closes or none arrives for `idle` seconds."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    ignore_signals()
    with suppress(EOFError, OSError):
        try:
            tagger = load(path)
        except Exception as error:
            connection.send(_portable(error))
            return
        connection.send(None)
        while connection.poll(idle):
            connection.send(_answer(tagger, connection.recv()))


def _answer(tagger: Tagger, png: bytes) -> object:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            return tagger.guesses(image)
    except Exception as error:
        return _portable(error)


def _portable(error: Exception) -> Exception:
    if isinstance(error, TaggerError):
        return error
    return TaggerError(f"The tagger failed ({type(error).__name__}: {error}).")
