"""How the end of an engine's process is noticed and told, on Windows too."""

import multiprocessing.connection
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import inference.process
from inference.child_process import exit_reason, ignore_signals
from inference.process import EngineDied, EngineFailed, EngineProcess
from inference.watchdog import Timeouts
from tests.inference.sleeping_engine import load

#: Long enough for a test to reach its own limit if the end goes unnoticed.
PATIENT = Timeouts(loading=3600)


def die() -> None:
    """End as a process does that a library crashed in, before anything is said."""
    os._exit(7)


@pytest.mark.posix
@pytest.mark.timeout(300)
def test_an_engine_that_dies_before_it_takes_its_end_of_the_pipe_is_noticed(pipe_ends_stay_open: None) -> None:
    process = EngineProcess(die, PATIENT)  # type: ignore[arg-type]
    with pytest.raises(EngineDied, match="ended with exit code 7"):
        process.start()
    process.stop()


def test_a_stopped_engine_is_reported_as_stopped(tmp_path: Path) -> None:
    process = EngineProcess(partial(load, "nowhere", tmp_path / "asleep"))
    process.start()
    assert process._process is not None
    process._kill(process._process)
    with pytest.raises(EngineDied, match="was stopped"):
        process.generate([])
    process.stop()


def refuse_with_signals() -> None:
    raise RuntimeError([signal.getsignal(number) == signal.SIG_IGN for number in (signal.SIGINT, signal.SIGTERM)])


@pytest.mark.timeout(300)
def test_an_engines_last_messages_come_before_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def after_the_end(objects: list[Any], timeout: float) -> list[Any]:
        multiprocessing.connection.wait(objects[-1:])  # the process
        return multiprocessing.connection.wait(objects, timeout)

    monkeypatch.setattr(inference.process, "wait", after_the_end)
    with pytest.raises(EngineFailed, match="RuntimeError"):
        EngineProcess(refuse_with_signals, PATIENT).start()  # type: ignore[arg-type]


def test_an_engine_leaves_ctrl_c_to_the_bot() -> None:
    process = EngineProcess(refuse_with_signals)  # type: ignore[arg-type]
    with pytest.raises(EngineFailed, match=r"\[True, True\]"):
        process.start()


@pytest.mark.posix
def test_a_child_leaves_ctrl_break_to_the_bot_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)  # it has no number here
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    kept = [signal.signal(number, signal.SIG_DFL) for number in numbers]
    try:
        ignore_signals()
        assert [signal.getsignal(number) for number in numbers] == [signal.SIG_IGN] * 3
    finally:
        for number, handler in zip(numbers, kept, strict=True):
            signal.signal(number, handler)


@pytest.mark.parametrize(
    ("code", "platform", "told"),
    [
        (0, "linux", "ended with exit code 0"),
        (1, "win32", "ended with exit code 1"),
        (-9, "linux", f"was ended by {signal.Signals(9).name if sys.platform != 'win32' else 'signal 9'}"),
        (-63, "linux", "was ended by signal 63"),
        (-15, "linux", "was ended by SIGTERM"),
        (-15, "win32", "was ended by another program (TerminateProcess)"),
        (
            3221225477,
            "win32",
            "ended with exit code 0xC0000005 (access violation: a crash in the GPU's driver or in a library)",
        ),
        (3221225495, "win32", "ended with exit code 0xC0000017 (not enough memory)"),
        (0xC0001234, "win32", "ended with exit code 0xC0001234"),
        (None, "linux", "ended, and its exit code is not known"),
    ],
)
def test_an_exit_code_is_explained(code: int | None, platform: str, told: str) -> None:
    assert exit_reason(code, platform) == f"The engine's process {told}."
    assert exit_reason(code, platform, "tagger") == f"The tagger's process {told}."


#: Modules that CPython has on POSIX alone ("Availability: Unix" in its library reference).
POSIX_MODULES = ("fcntl", "grp", "posix", "pwd", "resource", "syslog", "termios", "tty", "pty")

IMPORTS = f"""
import builtins, sys
imported = builtins.__import__

def refuse(name, globals=None, *rest, **more):
    ours = (globals or {{}}).get("__name__", "").partition(".")[0] in ("bot", "inference", "storage")
    if ours and name in {POSIX_MODULES!r}:
        raise ModuleNotFoundError(f"No module named {{name!r}}, wanted by {{globals['__name__']}}")
    return imported(name, globals, *rest, **more)

builtins.__import__ = refuse
import bot.__main__, bot.app, bot.sandbox.session, inference.engine, inference.cluster.host, inference.cluster.remote
import bot.cli.startup_errors, storage.database
"""


def test_nothing_that_the_bot_imports_needs_modules_of_posix() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
