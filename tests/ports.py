"""Ports of loopback for programs that have to be told one before they open it."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager

#: Below those that systems give to outgoing connections and to servers that take any, so that none of these gets it.
CHOSEN_PORTS = range(20_000, 32_000)


def free_port() -> int:
    """A port on which nobody listens."""
    for port in random.sample(CHOSEN_PORTS, len(CHOSEN_PORTS)):
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that refuses connections, and on which nobody can begin to listen inside the block."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
