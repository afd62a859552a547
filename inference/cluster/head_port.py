"""Waits until the head's port on this machine is free: processes of a killed head hold it for a moment longer."""

from __future__ import annotations

import socket
import sys
import time

#: Seconds to wait for the port.
RELEASE_TIMEOUT = 15.0
#: Seconds between two checks.
POLL_INTERVAL = 0.2


def wait_until_free(port: int, timeout: float | None = None) -> bool:
    """Wait until no program listens on the port; False if one does after `timeout` (or RELEASE_TIMEOUT) seconds."""
    end = time.monotonic() + (RELEASE_TIMEOUT if timeout is None else timeout)
    while is_taken(port):
        if time.monotonic() >= end:
            return False
        time.sleep(POLL_INTERVAL)
    return True


def is_taken(port: int) -> bool:
    """Whether a program listens on the port, on any of this machine's addresses."""
    with socket.socket() as tried:
        if sys.platform != "win32":  # on Windows, the option would take the port from a program that listens
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ignore connections that were just closed
        try:
            tried.bind(("", port))
        except OSError:
            return True
    return False
