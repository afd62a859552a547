"""A run measures each part, and its report says for each target whether it was met."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inference import benchmark
from inference.benchmark import BenchmarkOptions
from inference.benchmark.figures import Figure
from inference.benchmark.report import BackendComparison, Compiled, Loop, Measured, Report, Swaps
from inference.benchmark.timing import Durations
from inference.benchmark.workload import PARTS
from tests.inference.benchmark.tiny import MACHINE, TINY


def measured(seconds: float, mebibytes: int) -> Measured:
    return Measured(Durations((seconds,) * 3, (2 * seconds,) * 3), mebibytes * 2**20)


REPORT = Report(
    machine=MACHINE,
    command="anima benchmark",
    settings="a size",
    matrix_rate=100e9,
    memory_rate=20e9,
    comparisons={
        "transformer": BackendComparison(measured(1.0, 500), measured(1.1, 500), 1e-6, 80 * 10**9),
        "vae": BackendComparison(measured(1.0, 300), measured(2.0, 900), 1e-6, 90 * 10**9),
        "picture": BackendComparison(measured(5.0, 800), measured(7.0, 1400), 1e-6, 400 * 10**9),
    },
    loop=Loop(Durations((5.0,), (10.0,)), (0.004,)),
    compiled=None,
    swaps=Swaps(4 * 10**9, Durations((1.0,), (1.0,)), None),
    threads=2,
)


class WindowsFolder(tempfile.TemporaryDirectory[str]):
    """Is left with the names of the files in it that are still mapped, which Windows would not delete."""

    mapped: list[str]

    def __exit__(self, *error: object) -> None:
        maps = Path("/proc/self/maps").read_text("utf-8").splitlines()
        WindowsFolder.mapped = [line for line in maps if self.name in line]
        self.cleanup()


def test_a_file_that_windows_does_not_delete_costs_no_report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    unlink = os.unlink

    def refuse(path: Any, **options: Any) -> None:
        if Path(os.fsdecode(path)).name == "mapped.safetensors":
            raise PermissionError(13, "Access is denied", path)
        unlink(path, **options)

    def measure(folder: Path, *_: object) -> Report:
        (folder / "mapped.safetensors").touch()
        return REPORT

    monkeypatch.setattr(benchmark, "_measure", measure)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "unlink", refuse)
    assert benchmark.run(TINY, BenchmarkOptions(device="cpu"), say=print) is REPORT
    monkeypatch.undo()
    assert list(tmp_path.rglob("mapped.safetensors"))


def test_a_run_without_diffusers_says_what_to_install_and_measures_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "find_spec", lambda _name: None)
    # Both take long, and test_memory.py and test_roofline.py test them.
    monkeypatch.setattr(benchmark, "peak_bytes", lambda _side, part, *_: len(part))
    monkeypatch.setattr(benchmark, "matrix_rate", lambda *_: 5e9)
    monkeypatch.setattr(benchmark, "memory_rate", lambda *_: 3e9)
    monkeypatch.setattr(tempfile, "TemporaryDirectory", WindowsFolder)
    messages: list[str] = []
    options = BenchmarkOptions(device="cpu", threads=1, repeats=1, command="anima benchmark")
    report = benchmark.run(TINY, options, say=messages.append)
    assert WindowsFolder.mapped == []
    assert messages[0].endswith("`pip install 'anima-bot[benchmark]'`.")
    assert set(report.comparisons) == set(PARTS)
    assert all(comparison.theirs is None for comparison in report.comparisons.values())
    assert all(comparison.ours.peak_bytes == len(part) for part, comparison in report.comparisons.items())
    assert report.matrix_rate == 5e9
    assert report.swaps.size > 0
    assert report.swaps.moves is None
    assert "diffusers" not in str(report)
    assert {figure.side for figure in report.figures()} == {"machine", "ours"}
    assert [target.what for target in report.targets()] == ["loop's overhead under 1 %"]


def test_a_report_judges_each_target() -> None:
    report = REPORT
    assert [target.met for target in report.targets()] == [True, False, True, True]
    assert report.processor_share == pytest.approx(1)
    text = str(report)
    assert "80.0 GFLOP at 80 GFLOP/s, 80% of the matrix rate" in text
    assert "MISSED VAE decode 2.3 times as fast: 2.00 times" in text
    assert "another model from its file: 1.000 s (1.000 to 1.000), 4.00 GB/s, 0.20 of that image" in text
    assert "main memory" not in text
    assert "take the figures with caution" not in text
    disturbed = replace(report, threads=4)
    assert "take the figures with caution" in str(disturbed)
    moves = (Durations((0.5,), (0.5,)), Durations((0.25,), (0.25,)))
    on_gpu = replace(
        report,
        threads=None,
        compiled=Compiled(1, Durations((0.4,), (0.1,))),
        swaps=replace(report.swaps, moves=moves),
    )
    assert "a model from main memory: 0.250 s (0.250 to 0.250), 16.00 GB/s, 0.05 of that image" in str(on_gpu)
    met = {target.what: target.met for target in on_gpu.targets()}
    assert met["78 % of the matrix rate"] and not met["no recompilation between sizes"]
    assert not met["8 steps at CFG 1 within 0.27 s (H200)"] and not met["an image within 1.75 s (H200)"]
    assert met["an image 1.15 times as fast as diffusers'"]


def test_measurements_besides_the_networks_have_targets_too() -> None:
    more = (
        Figure("whole image", "float8", "s", (1.2, 1.4, 1.5)),
        Figure("whole image", "fast mode", "s", (1.1,)),
        Figure("graphs recompiled", "first start", "1", (2.0,)),
        Figure("graphs recompiled", "second start", "1", (0.0,)),
    )
    report = replace(REPORT, compiled=Compiled(0, Durations((0.2,), (0.1,))), more=more)
    met = {target.what: target.met for target in report.targets()}
    assert not met["float8 within 1.3 s (H200)"] and met["fast mode within 1.2 s (H200)"]
    assert met["the second start compiles nothing"]
    assert "whole image, float8: 1.4 s (1.3 to 1.45, 3 times)" in str(report)
    compiled_again = replace(report, more=(Figure("graphs recompiled", "second start", "1", (1.0,)),))
    assert not {target.what: target.met for target in compiled_again.targets()}["the second start compiles nothing"]
