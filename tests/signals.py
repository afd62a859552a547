"""Signals to several processes at once."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from contextlib import suppress

import psutil


def send_signal(number: signal.Signals, processes: Iterable[psutil.Process]) -> None:
    """Pass over processes that ended since they were listed."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
