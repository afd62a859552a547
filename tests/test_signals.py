"""`tests/signals.py`, which tests with several processes rely on."""

import signal
import subprocess
import sys

import psutil
import pytest

from tests.signals import send_signal

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.mark.posix
def test_a_process_that_ended_keeps_no_other_from_its_signal() -> None:
    with subprocess.Popen(SLEEP) as ended, subprocess.Popen(SLEEP) as running:
        listed = [psutil.Process(ended.pid), psutil.Process(running.pid)]
        ended.kill()
        ended.wait()
        send_signal(signal.SIGTERM, listed)
        assert running.wait() == -signal.SIGTERM
