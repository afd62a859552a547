"""The head's port: whether somebody listens there."""

from __future__ import annotations

import socket
import threading

import pytest

from inference.cluster.head_port import is_taken, wait_until_free
from tests.ports import free_port


def test_a_port_with_a_listener_is_taken_and_any_other_is_free() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        port = listener.getsockname()[1]
        assert is_taken(port) and not wait_until_free(port, timeout=0)
    assert not is_taken(port)


@pytest.mark.posix
def test_connections_that_were_closed_do_not_hold_it() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            listener.accept()[0].close()  # the side that closes first keeps the connection for a while
    assert not is_taken(port)


def test_it_is_waited_for_until_the_listener_is_gone() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        threading.Timer(0.5, listener.close).start()
        assert wait_until_free(listener.getsockname()[1], timeout=60)
