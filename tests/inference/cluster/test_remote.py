"""The driver of an engine on another machine."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from inference.cluster.remote import RemoteEngine
from inference.process import EngineDied


def test_a_local_ray_crash_counts_as_a_dead_engine() -> None:
    def remote(_batch: int) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    with pytest.raises(EngineDied, match=r"cannot be reached: .*Broken pipe"):
        RemoteEngine(SimpleNamespace(start=SimpleNamespace(remote=remote)))
