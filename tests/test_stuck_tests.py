"""A test that never ends is named, and does not stop the run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stuck_tests import STATUS

ROOT = Path(__file__).parent.parent

CONFTEST = """
from tests.stuck_tests import StuckTestWatch

def pytest_configure(config):
    config.pluginmanager.register(StuckTestWatch(grace=3.0, tries={tries}))
"""

WAITS_AFTER_ITS_TIMEOUT = """
import threading
import time

import pytest

@pytest.mark.timeout(3.0)
def test_stuck():
    try:
        time.sleep(1000)
    finally:
        threading.Event().wait()

def test_next():
    pass
"""


def run_pytest(folder: Path, test: str, tries: int = 5) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST.format(tries=tries))
    (folder / "test_one.py").write_text(test)
    (folder / "pytest.ini").write_text("[pytest]\ntimeout = 100\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)


@pytest.mark.posix
def test_a_test_that_does_not_end_after_its_timeout_is_named_and_the_next_one_runs(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, WAITS_AFTER_ITS_TIMEOUT)
    assert "test_one.py::test_stuck does not end" in done.stderr
    assert "in test_stuck" in done.stderr
    assert "1 failed, 1 passed" in done.stdout


def test_a_process_is_killed_if_that_does_not_help(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, WAITS_AFTER_ITS_TIMEOUT, tries=0)
    assert done.returncode == STATUS
    assert "its process is ended" in done.stderr


def test_a_test_that_ends_is_left_alone(tmp_path: Path) -> None:
    assert run_pytest(tmp_path, "def test_quick():\n    pass\n").returncode == 0
