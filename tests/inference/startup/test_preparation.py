"""PyTorch is imported before an engine's process starts, in a process that engines are copied from."""

import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from inference.process import EngineFailed, EngineProcess
from inference.startup import preparation
from inference.startup.preparation import can_be_copied, engine_context
from tests.inference.engine_processes import is_running
from tests.inference.startup.reporting_load import report


@pytest.fixture
def nothing_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "_preparation", None)


def said() -> str:
    process = EngineProcess(report)  # type: ignore[arg-type]
    with pytest.raises(EngineFailed) as failed:
        process.start()
    process.stop()
    return str(failed.value)


@pytest.mark.posix
@pytest.mark.skipif(not can_be_copied(), reason="processes are not copied on this system")
def test_engines_are_copied_from_one_process_that_has_imported_everything(prepared: None) -> None:
    first, second = said(), said()
    assert "imported=True" in first
    assert first == second, "both have the same parent"


def test_without_preparation_an_engine_starts_as_a_new_process(nothing_prepared: None) -> None:
    assert "imported=False" in said()


def test_engines_start_without_a_failed_preparation(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = preparation._Preparation()
    failed.over.set()
    monkeypatch.setattr(preparation, "_preparation", failed)
    assert engine_context().get_start_method() == "spawn"


def test_engines_start_without_a_slow_preparation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "_preparation", preparation._Preparation())
    monkeypatch.setattr(preparation, "IMPORT_TIMEOUT", 0.0)
    assert engine_context().get_start_method() == "spawn"


def test_preparing_returns_at_once_and_what_cannot_be_started_is_done_without(
    monkeypatch: pytest.MonkeyPatch, nothing_prepared: None
) -> None:
    class Unable:
        def Process(self, **_: object) -> None:
            raise OSError("no process can be started")

    contexts = {"forkserver": Unable(), "spawn": "a new process"}
    monkeypatch.setattr(preparation.multiprocessing, "get_context", contexts.get)
    monkeypatch.setattr(preparation, "can_be_copied", lambda: True)
    monkeypatch.setattr(preparation.multiprocessing, "set_forkserver_preload", lambda _: None)
    preparation.prepare_engines()
    assert engine_context() == "a new process"


@pytest.mark.parametrize(
    ("platform", "version", "copied"),
    [
        ("linux", (3, 11, 1), True),
        ("linux", (3, 11, 0), False),
        ("darwin", (3, 13, 0), False),
        ("win32", (3, 13, 0), False),
    ],
)
def test_processes_are_copied_where_that_is_safe(platform: str, version: tuple[int, ...], copied: bool) -> None:
    assert can_be_copied(platform, version) == copied


#: What is imported runs no code on a device, and starts no thread of Python's.
IMPORT = """
import threading, torch
import inference.startup.imports
assert not torch.cuda.is_initialized()
assert threading.active_count() == 1, threading.enumerate()
"""


def test_the_prepared_process_can_be_forked() -> None:
    assert subprocess.run([sys.executable, "-c", IMPORT], check=False).returncode == 0


PREPARE = """
import sys, time
from inference.startup.preparation import prepare_engines
prepare_engines()
print("prepared", flush=True)
time.sleep(60)
"""


@pytest.fixture
def preparing() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", PREPARE], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "prepared\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.posix
@pytest.mark.skipif(not can_be_copied(), reason="processes are not copied on this system")
def test_the_process_that_imports_ends_with_the_program(preparing: subprocess.Popen[str]) -> None:
    while not (found := [each for each in psutil.Process(preparing.pid).children() if "forkserver" in command(each)]):
        time.sleep(0.01)
    preparing.kill()
    psutil.wait_procs(found, timeout=60)
    assert not any(is_running(each.pid) for each in found)


def command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""
