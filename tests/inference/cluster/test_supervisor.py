"""The supervisor of a machine's engines, without Ray."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from inference.cluster import supervisor
from inference.cluster.supervisor import NodeSupervisor


def test_a_node_that_never_starts_is_started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The head may freeze while the node asks to join."""
    started: list[str] = []

    def node_that_hangs(head: str, engines: int, address: str) -> list[str]:
        started.append(head)
        if len(started) == 2:
            node.stop()
        return [sys.executable, "-c", "import time; time.sleep(600)"]

    monkeypatch.setattr(supervisor, "node_command", node_that_hangs)
    for name in ("START_TIMEOUT", "RESTART_AFTER", "MAX_RESTART_DELAY"):
        monkeypatch.setattr(supervisor, name, 0.05)
    environment: dict[str, Any] = {}
    node = NodeSupervisor("127.0.0.1:1", "127.0.0.1", 1, environment)
    node.run()
    assert started == ["127.0.0.1:1", "127.0.0.1:1"]
