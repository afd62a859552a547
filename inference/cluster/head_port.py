"""The head's port on this machine, which the processes of a head that was just killed still hold for a moment."""

from __future__ import annotations

import socket
import sys
import time

#: Seconds that those processes are given.
RELEASE_TIMEOUT = 15.0
#: Seconds between two looks.
POLL_INTERVAL = 0.2


def wait_until_free(port: int, timeout: float | None = None) -> bool:
    """Whether nobody listens on the port any more, `timeout` (RELEASE_TIMEOUT) seconds from now at the latest."""
    end = time.monotonic() + (RELEASE_TIMEOUT if timeout is None else timeout)
    while is_taken(port):
        if time.monotonic() >= end:
            return False
        time.sleep(POLL_INTERVAL)
    return True


def is_taken(port: int) -> bool:
    """Whether a program listens on the port, on any of this machine's addresses."""
    with socket.socket() as tried:
        if sys.platform != "win32":  # there it would take a port from a program that listens
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that were closed do not count
        try:
            tried.bind(("", port))
        except OSError:
            return True
    return False
