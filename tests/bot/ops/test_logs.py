"""The log: which job a line is about, how it looks, and what never stands in it."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from bot.ops import logs

TOKEN = "MTA2MDcwOTI4MjYxMTIwMDAwMA.G0aBcD.abcdefghijklmnopqrstuvwxyz0123456789_-"
logger = logging.getLogger("bot.test_logs")

Lines = Callable[[], list[str]]


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lines:
    """What has been logged; logging is as before at the end."""
    root, bot = logging.getLogger(), logging.getLogger("bot")
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.setattr(bot, "level", bot.level)
    monkeypatch.setattr(logging, "captureWarnings", lambda on: None)

    def lines() -> list[str]:
        flush()
        return capsys.readouterr().err.splitlines()

    return lines


def flush() -> None:
    for handler in logging.getLogger().handlers:
        handler.flush()


async def test_tasks_and_threads_that_are_begun_within_a_job_are_about_it(stderr: Lines) -> None:
    logs.set_up("json", logging.INFO)

    async def later() -> None:
        await asyncio.sleep(0)
        logger.info("task")

    with logs.job_log_context(7):
        task = asyncio.create_task(later())
        await asyncio.to_thread(logger.info, "thread")
    with logs.job_log_context(8, 9):
        logger.info("batch")
        with logs.job_log_context(9):
            logger.info("one of them")
    logger.info("nothing")
    await task
    said = [json.loads(line) for line in stderr()]
    assert {line["message"]: (line.get("job"), line.get("jobs")) for line in said} == {
        "thread": (7, None),
        "task": (7, None),
        "batch": (None, [8, 9]),
        "one of them": (9, None),
        "nothing": (None, None),
    }


async def test_a_function_that_is_given_a_job_is_about_it(stderr: Lines) -> None:
    logs.set_up("text", logging.INFO)

    @logs.with_job_log_context
    async def deliver(where: str, job: SimpleNamespace, again: bool = False) -> str:
        logger.info("delivered to %s", where)
        return where

    assert await deliver("here", job=SimpleNamespace(id=3)) == "here"
    [line] = stderr()
    assert line.endswith(" INFO bot.test_logs: job 3: delivered to here")


def test_an_error_keeps_its_traceback_in_one_line_of_json(stderr: Lines) -> None:
    logs.set_up("json")
    try:
        raise ValueError(f"of {TOKEN}")
    except ValueError:
        logger.exception("went wrong")
    [line] = map(json.loads, stderr())
    assert line["level"] == "error" and line["logger"] == "bot.test_logs" and line["message"] == "went wrong"
    assert line["time"].endswith("+00:00")
    assert "Traceback" in line["error"] and "ValueError: of …" in line["error"] and TOKEN not in line["error"]


@pytest.mark.parametrize("style", ["text", "json"])
@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"token {TOKEN}.", "token …."),
        (
            "PATCH https://discord.com/api/v10/webhooks/123/aW50ZXJh/messages/@original",
            "/webhooks/…/messages/@original",
        ),
        ("POST https://discord.com/api/v10/interactions/123/aW50ZXJh/callback", "/interactions/…/callback"),
        ("postgresql://me:hunter2@database/anima is away", "postgresql://…@database/anima is away"),
        (
            "recipes.0.steps Field required [type=missing, input_value={'prompt': 'hunter2, 1gi...'}, input_type=dict]",
            "[type=missing, input_value=…, input_type=dict]",
        ),
        ("bot.commands.admin.controls is no token", "bot.commands.admin.controls is no token"),
    ],
)
def test_tokens_passwords_and_prompts_are_taken_out(stderr: Lines, style: logs.Format, said: str, shown: str) -> None:
    logs.set_up(style)
    logging.getLogger("discord.http").warning("%s", said)
    [line] = stderr()
    assert shown in (json.loads(line)["message"] if style == "json" else line)
    assert not any(secret in line for secret in (TOKEN, "aW50ZXJh", "hunter2"))


@pytest.mark.parametrize(("terminal", "is_json"), [(True, False), (False, True)])
def test_by_itself_it_is_text_on_a_terminal_and_json_elsewhere(
    stderr: Lines, monkeypatch: pytest.MonkeyPatch, terminal: bool, is_json: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    logs.set_up("auto")
    logger.warning("here")
    [line] = stderr()
    assert line.startswith("{") == is_json


def test_other_libraries_log_only_warnings(stderr: Lines) -> None:
    logs.set_up("text", logging.INFO)
    logging.getLogger("discord.gateway").info("connected")
    logger.info("ours")
    logger.debug("too much")
    assert [line.rsplit(" ", 1)[1] for line in stderr()] == ["ours"]


def test_an_unreachable_gateway_logs_one_line_without_traceback(stderr: Lines) -> None:
    logs.set_up("text")
    try:
        raise ConnectionRefusedError("Connect call failed")
    except ConnectionRefusedError:
        logging.getLogger("discord.client").exception("Attempting a reconnect in %.2fs", 1.104)
    [line] = stderr()
    assert line.endswith("Discord's gateway is unreachable (Connect call failed). Attempting a reconnect in 1.10s")


@pytest.mark.parametrize("code_page", ["cp1252", "cp932", "ascii"])
def test_a_line_of_json_stays_one_in_every_code_page(
    stderr: Lines, monkeypatch: pytest.MonkeyPatch, code_page: str
) -> None:
    """Python's stderr never fails, but writes what its code page lacks in a way that JSON does not have."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(written, encoding=code_page, errors="backslashreplace"))
    logs.set_up("auto", logging.INFO)
    logger.info("猫 é 😀")
    flush()
    assert json.loads(written.getvalue())["message"] == "猫 é 😀"


def test_a_service_without_a_console_has_nowhere_to_log(stderr: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under pythonw on Windows."""
    monkeypatch.setattr(sys, "stderr", None)
    logs.set_up("auto", logging.INFO)
    logger.info("unheard")
    flush()


class Selected(io.StringIO):
    """A console in which something is selected: what is written waits until it is not any more."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()
        self.writers: set[threading.Thread] = set()

    def write(self, text: str) -> int:
        self.writers.add(threading.current_thread())
        if threading.current_thread() is not threading.main_thread():
            self.released.wait()
        return super().write(text)


async def test_a_console_that_takes_no_lines_does_not_stop_the_event_loop(
    stderr: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Selected()
    monkeypatch.setattr(sys, "stderr", console)
    logs.set_up("text", logging.INFO)
    for number in range(1000):
        logger.info("line %d", number)
    await asyncio.sleep(0)
    console.released.set()
    flush()
    assert threading.main_thread() not in console.writers
    assert [line.rsplit(" ", 1)[1] for line in console.getvalue().splitlines()] == [str(n) for n in range(1000)]


LOGS_MUCH_AND_ENDS = """
import logging, sys
from bot.ops import logs
logs.FLUSH_TIMEOUT = float(sys.argv[1])
logs.set_up("text", logging.INFO)
for number in range(20_000):
    logging.getLogger("bot").info("line %d", number)
"""


def test_the_last_log_lines_before_exit_are_written() -> None:
    done = subprocess.run([sys.executable, "-c", LOGS_MUCH_AND_ENDS, "60"], capture_output=True, text=True, check=True)
    assert [int(line.rsplit(" ", 1)[1]) for line in done.stderr.splitlines()] == list(range(20_000))


def test_a_process_ends_though_nobody_reads_what_it_logs() -> None:
    reading, writing = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-c", LOGS_MUCH_AND_ENDS, "0.1"], stderr=writing, check=False, timeout=60
        )
        assert done.returncode == 0
    finally:
        os.close(reading)
        os.close(writing)
