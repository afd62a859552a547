"""The supervisor of a machine's engines, without Ray."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from inference.cluster import supervisor
from inference.cluster.ray_settings import ray_environment
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
    for name in ("START_TIMEOUT", "MIN_RESTART_DELAY", "MAX_RESTART_DELAY"):
        monkeypatch.setattr(supervisor, name, 0.05)
    node = NodeSupervisor("127.0.0.1:1", "127.0.0.1", 1, os.environ)
    node.run()
    assert started == ["127.0.0.1:1", "127.0.0.1:1"]


def test_only_its_own_words_are_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other lines, which Ray may print for ever, do not say that the head counts this machine as alive."""
    started: list[str] = []

    def node_that_runs(head: str, engines: int, address: str) -> list[str]:
        started.append(head)
        if len(started) == 2:
            node.stop()
        return [sys.executable, "-c", "import time; print('Ray runtime started', flush=True); time.sleep(600)"]

    def watch_with_noise(head: str, address: str) -> list[str]:
        return [sys.executable, "-c", "import time\nwhile True: print('(raylet) noise', flush=True); time.sleep(0.01)"]

    monkeypatch.setattr(supervisor, "node_command", node_that_runs)
    monkeypatch.setattr(supervisor, "watch_command", watch_with_noise)
    monkeypatch.setattr(supervisor, "START_TIMEOUT", 10.0)
    monkeypatch.setattr(supervisor, "MAX_SILENCE", 600.0)
    for name in ("MIN_RESTART_DELAY", "MAX_RESTART_DELAY"):
        monkeypatch.setattr(supervisor, name, 0.05)
    node = NodeSupervisor("127.0.0.1:1", "127.0.0.1", 1, os.environ)
    giving_up = threading.Timer(120.0, node.stop)
    giving_up.start()
    node.run()
    giving_up.cancel()
    assert len(started) == 2


def test_a_token_in_the_environment_does_not_go_before_the_one_that_was_checked(tmp_path: Path) -> None:
    environment = ray_environment(tmp_path / "token", {"RAY_AUTH_TOKEN": "another", "PATH": "/bin"})
    assert "RAY_AUTH_TOKEN" not in environment and environment["PATH"] == "/bin"
    assert environment["RAY_AUTH_TOKEN_PATH"] == str(tmp_path / "token")
