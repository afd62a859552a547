"""A process that uses Ray says only what it means to say."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from inference.cluster.joining import join_cluster


def test_what_ray_prints_is_kept_out_of_the_output(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """As its listener for errors does with a raylet's last lines: to what is `sys.stdout` by then."""
    called: dict[str, Any] = {}

    def init(**options: Any) -> None:
        called.update(options)
        print("\x1b[36m(raylet)\x1b[0m Raylet is terminated. Last 20 lines of the Raylet logs:\n    line", flush=True)

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init))
    monkeypatch.setattr(sys, "stdout", sys.stdout)  # put back at the end
    with caplog.at_level(logging.DEBUG):
        join_cluster("10.0.0.1:6379", "10.0.0.2", logging_level="ERROR")
        print("(raylet) another", file=sys.stdout)
    said = capfd.readouterr()
    assert said.out == said.err == ""
    assert "Raylet is terminated" in caplog.text and "another" in caplog.text
    assert called["log_to_driver"] is False and called["_node_ip_address"] == "10.0.0.2"
