"""The driver of an engine on another machine."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from inference.cluster.remote import RemoteEngine
from inference.process import EngineDied


def test_ray_that_died_on_this_machine_is_an_engine_that_died_and_no_fault_of_the_requests() -> None:
    def remote(_batch: int) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    with pytest.raises(EngineDied, match=r"out of reach: .*Broken pipe"):
        RemoteEngine(SimpleNamespace(start=SimpleNamespace(remote=remote)))
