"""Ends a test that does not end, not even after its timeout.

pytest-timeout raises an exception in the main thread, once. A `finally` or a fixture that waits forever after that
would stop the whole run without a word. So a thread watches: every minute from then on it raises another one, which
ends the next wait. Only if that does not help either does it end the process, as pytest-xdist may not go on after that.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
import time
from collections.abc import Generator
from types import FrameType

import pytest

#: Seconds that a test may take to end after its timeout, and between two exceptions.
GRACE = 60.0
#: Exceptions that are raised before the process is ended.
TRIES = 5
#: The status of the ended process; 124 as that of the command `timeout`.
STATUS = 124
#: What raises the exception; None on Windows, where the process is ended at once.
SIGNAL = getattr(signal, "SIGUSR2", None)


class StuckTest(BaseException):
    """A test does not end; BaseException, so that nothing takes it for an error of its own."""


class StuckTestWatch:
    """A pytest plugin that watches the running test from a thread of its own."""

    def __init__(self, grace: float = GRACE, tries: int = TRIES) -> None:
        """Call it in the main thread."""
        self.grace = grace
        self.tries = tries if SIGNAL is not None else 0
        self._stderr = os.dup(2)  # pytest redirects the other one during tests
        self._deadline: float | None = None
        self._tried = 0
        self._test = ""
        self._changed = threading.Condition()
        if SIGNAL is not None:
            signal.signal(SIGNAL, _raise)
        threading.Thread(target=self._watch, name="stuck tests", daemon=True).start()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._set(time.monotonic() + timeout_of(item) + self.grace, item.nodeid)
        try:
            return (yield)
        finally:
            self._set(None, "")

    def _set(self, deadline: float | None, test: str) -> None:
        with self._changed:
            self._deadline, self._test, self._tried = deadline, test, 0
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while True:
                left = None if self._deadline is None else self._deadline - time.monotonic()
                if left is None or left > 0:
                    self._changed.wait(left)
                else:
                    self._end_wait()

    def _end_wait(self) -> None:
        ending = self._tried >= self.tries
        what = "its process is ended" if ending else "its wait is ended"
        os.write(self._stderr, f"\n{self._test} does not end; {what}.\n".encode())
        faulthandler.dump_traceback(self._stderr, all_threads=True)
        if ending:
            os._exit(STATUS)
        self._tried += 1
        self._deadline = time.monotonic() + self.grace
        assert SIGNAL is not None
        signal.pthread_kill(threading.main_thread().ident or 0, SIGNAL)


def _raise(_number: int, _frame: FrameType | None) -> None:
    raise StuckTest


def timeout_of(item: pytest.Item) -> float:
    """The test's own timeout, else that of the configuration, in seconds."""
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0] if marker else item.config.getini("timeout"))
