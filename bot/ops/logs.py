"""Logging: text on a terminal, JSON elsewhere, each line with the job that it is about.

Tokens are removed from every line, also from those of other libraries.
"""

from __future__ import annotations

import functools
import inspect
import json
import logging
import re
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

Format = Literal["auto", "text", "json"]

_jobs: ContextVar[tuple[int, ...]] = ContextVar("jobs", default=())

SECRETS = re.compile(
    r"(?<![\w-])[\w-]{18,}\.[\w-]{6,}\.[\w-]{27,}"  # a bot's token
    r"|(?<=/webhooks/)\d+/[^/\s?]+|(?<=/interactions/)\d+/[^/\s?]+"  # an interaction's, with its id
    r"|(?<=://)[^/\s@]+(?=@)"  # the user and password of a database
)


def set_up(style: Format, level: int = logging.WARNING) -> None:
    """Log to stderr: everything from WARNING on, and the bot's own from `level` on."""
    if style == "auto":
        style = "text" if sys.stderr.isatty() else "json"
    handler = logging.StreamHandler()
    handler.setFormatter(_Text() if style == "text" else _Json())
    handler.addFilter(_note_jobs)
    handler.addFilter(_shorten_outages)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("bot").setLevel(level)
    logging.captureWarnings(True)


def setting_up(style: Format, load: Callable[[], T]) -> T:
    """Call `load` in another process that is to log like this one."""
    set_up(style)
    return load()


@contextmanager
def about(*job_ids: int) -> Iterator[None]:
    """Mark every line logged inside, also by tasks and threads started there, as being about these jobs."""
    token = _jobs.set(job_ids)
    try:
        yield
    finally:
        _jobs.reset(token)


def about_its_job(
    function: Callable[P, Coroutine[Any, Any, T]],
) -> Callable[P, Coroutine[Any, Any, T]]:
    """The same for a function that has a parameter `job`."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    async def within(*args: P.args, **kwargs: P.kwargs) -> T:
        with about(signature.bind(*args, **kwargs).arguments["job"].id):
            return await function(*args, **kwargs)

    return within


def _note_jobs(record: logging.LogRecord) -> bool:
    record.jobs = _jobs.get()
    return True


def _shorten_outages(record: logging.LogRecord) -> bool:
    """discord.py logs a traceback for every failed attempt to reconnect; its last line is enough."""
    if record.name == "discord.client" and record.exc_info and record.msg.startswith("Attempting a reconnect"):
        record.msg = f"Discord's gateway is unreachable ({record.exc_info[1]}). {record.getMessage()}"
        record.args = record.exc_info = None
    return True


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(about)s%(message)s", "%Y-%m-%d %H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        jobs = getattr(record, "jobs", ())
        record.about = f"job {', '.join(map(str, jobs))}: " if jobs else ""
        return _without_secrets(super().format(record))


class _Json(logging.Formatter):
    """One object a line: time, level, logger, message; job, or jobs where there are several; error, a traceback."""

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
        if record.exc_info:
            line["error"] = _without_secrets(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def _without_secrets(text: str) -> str:
    return SECRETS.sub("…", text)
