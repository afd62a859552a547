"""Logging: text on a terminal, JSON elsewhere, each line with its job and engine.

Removes tokens from every line, also from those of other libraries, and the values in pydantic's errors, which may be
prompts. A thread writes the lines: a console may block, as Windows' does while something is selected in it.
"""

from __future__ import annotations

import functools
import inspect
import json
import logging
import re
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from multiprocessing.util import Finalize
from queue import SimpleQueue
from typing import Any, Literal, ParamSpec, TextIO, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

Format = Literal["auto", "text", "json"]

_jobs: ContextVar[tuple[int, ...]] = ContextVar("jobs", default=())
_engine: ContextVar[str | None] = ContextVar("engine", default=None)

#: Seconds that an exiting process waits for unwritten lines.
FLUSH_TIMEOUT = 3.0

SECRETS = re.compile(
    r"(?<![\w-])[\w-]{18,}\.[\w-]{6,}\.[\w-]{27,}"  # a bot's token
    r"|(?<=/webhooks/)\d+/[^/\s?]+|(?<=/interactions/)\d+/[^/\s?]+"  # a webhook's or an interaction's, with its id
    r"|(?<=://)[^/\s@]+(?=@)"  # the user and password of a database
    r"|(?<=input_value=).*(?=, input_type=)"  # the invalid value in pydantic's errors
)


def set_up(style: Format, level: int = logging.WARNING) -> None:
    """Log to stderr: everything from WARNING up, and the bot's own lines from `level` up."""
    if style == "auto":
        style = "text" if sys.stderr is not None and sys.stderr.isatty() else "json"
    handler = _BackgroundHandler(sys.stderr)
    handler.setFormatter(_TextFormatter() if style == "text" else _JsonFormatter())
    handler.addFilter(_note_context)
    handler.addFilter(_shorten_outages)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("bot").setLevel(level)
    logging.captureWarnings(True)


def setting_up(style: Format, load: Callable[[], T], engine: str | None = None) -> T:
    """In a child process: set up logging like its parent's, as the engine of that name, then call `load`."""
    set_up(style)
    # In a forked process (`inference.startup.preparation`), only multiprocessing's finalizers run at exit.
    Finalize(None, logging.shutdown, exitpriority=0)
    _engine.set(engine)
    return load()


@contextmanager
def engine_log_context(name: str) -> Iterator[None]:
    """Mark every line logged inside, also by tasks and threads started there, as being about this engine."""
    token = _engine.set(name)
    try:
        yield
    finally:
        _engine.reset(token)


@contextmanager
def job_log_context(*job_ids: int) -> Iterator[None]:
    """Mark every line logged inside, also by tasks and threads started there, as being about these jobs."""
    token = _jobs.set(job_ids)
    try:
        yield
    finally:
        _jobs.reset(token)


def with_job_log_context(
    function: Callable[P, Coroutine[Any, Any, T]],
) -> Callable[P, Coroutine[Any, Any, T]]:
    """The same for a function that has a parameter `job`."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    async def within(*args: P.args, **kwargs: P.kwargs) -> T:
        with job_log_context(signature.bind(*args, **kwargs).arguments["job"].id):
            return await function(*args, **kwargs)

    return within


class _BackgroundHandler(logging.Handler):
    """Writes all lines in one thread, in the order in which they were logged."""

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__()
        self._stream = stream
        #: Lines; events, which are set once everything before them is written; None at the end.
        self._waiting: SimpleQueue[str | threading.Event | None] = SimpleQueue()
        self._is_open = True
        threading.Thread(target=self._write, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._waiting.put(self.format(record))
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Wait until everything is written, at most FLUSH_TIMEOUT; `logging` calls this at exit."""
        written = threading.Event()
        self._waiting.put(written)
        if self._is_open:
            written.wait(FLUSH_TIMEOUT)

    def close(self) -> None:
        self._is_open = False
        self._waiting.put(None)
        super().close()

    def _write(self) -> None:
        while (line := self._waiting.get()) is not None:
            if isinstance(line, threading.Event):
                line.set()
            elif self._stream is not None:
                with suppress(OSError, ValueError):  # a console or pipe that is gone
                    self._stream.write(f"{line}\n")
                    self._stream.flush()


def _note_context(record: logging.LogRecord) -> bool:
    record.jobs, record.engine = _jobs.get(), _engine.get()
    return True


def _shorten_outages(record: logging.LogRecord) -> bool:
    """discord.py logs a traceback for every failed attempt to reconnect; its last line is enough."""
    if record.name == "discord.client" and record.exc_info and record.msg.startswith("Attempting a reconnect"):
        record.msg = f"Discord's gateway is unreachable ({record.exc_info[1]}). {record.getMessage()}"
        record.args = record.exc_info = None
    return True


class _TextFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(about)s%(message)s", "%Y-%m-%d %H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        jobs = getattr(record, "jobs", ())
        engine = getattr(record, "engine", None)
        about_jobs = f"job {', '.join(map(str, jobs))}: " if jobs else ""
        record.about = f"{engine}: {about_jobs}" if engine else about_jobs
        return _without_secrets(super().format(record))


class _JsonFormatter(logging.Formatter):
    """One object per line: time, level, logger, message; job, or jobs if there are several; engine, if there are
    several; error, a traceback. In ASCII, so that it passes unchanged through a pipe of any code page.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _without_secrets(record.getMessage()),
        }
        match getattr(record, "jobs", ()):
            case (job,):
                line["job"] = job
            case (_, *_) as jobs:
                line["jobs"] = jobs
        if engine := getattr(record, "engine", None):
            line["engine"] = engine
        if record.exc_info:
            line["error"] = _without_secrets(self.formatException(record.exc_info))
        return json.dumps(line)


def _without_secrets(text: str) -> str:
    return SECRETS.sub("…", text)
