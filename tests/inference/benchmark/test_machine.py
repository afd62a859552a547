"""A report says on which machine and with which versions it was made."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from inference.benchmark import machine
from inference.benchmark.machine import BenchmarkGpu, examine_machine
from tests.inference.benchmark.tiny import CPU, MACHINE


def test_this_machine_is_described() -> None:
    found = examine_machine(CPU)
    assert found.processor and found.cores >= 1 and found.memory_bytes > 2**29 and found.gpu is None
    assert {"Python", "torch"} <= found.versions.keys()
    for part in (found.processor, f"{found.cores} cores", "Python 3.", f"torch {found.versions['torch']}"):
        assert part in str(found)


def test_a_gpu_is_named_with_its_memory_and_driver() -> None:
    described = str(replace(MACHINE, gpu=BenchmarkGpu("NVIDIA H200", 140 * 2**30, "9.0", "570.1")))
    assert "NVIDIA H200, 140.0 GiB, compute capability 9.0, driver 570.1" in described


@pytest.mark.posix
@pytest.mark.parametrize(("script", "driver"), [("echo 570.124.06", "570.124.06"), ("exit 9", None)])
def test_the_driver_is_what_nvidias_program_says(
    script: str, driver: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert machine._driver() == driver
