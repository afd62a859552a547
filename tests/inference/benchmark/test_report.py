"""A run measures each part, and its report says for each target whether it was met."""

from dataclasses import replace

import pytest

from inference import benchmark
from inference.benchmark.report import BackendComparison, Compiled, Loop, Measured, Report
from inference.benchmark.timing import Durations
from inference.benchmark.workload import PARTS
from tests.inference.benchmark.tiny import TINY


def test_a_run_without_diffusers_says_what_to_install_and_measures_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "find_spec", lambda _name: None)
    # Both take long, and test_memory.py and test_roofline.py test them.
    monkeypatch.setattr(benchmark, "peak_bytes", lambda _side, part, *_: len(part))
    monkeypatch.setattr(benchmark, "matrix_rate", lambda *_: 5e9)
    messages: list[str] = []
    report = benchmark.run(TINY, device="cpu", threads=1, repeats=1, say=messages.append)
    assert messages[0].endswith("`pip install 'anima-bot[benchmark]'`.")
    assert set(report.comparisons) == set(PARTS)
    assert all(comparison.theirs is None for comparison in report.comparisons.values())
    assert all(comparison.ours.peak_bytes == len(part) for part, comparison in report.comparisons.items())
    assert report.matrix_rate == 5e9
    assert "diffusers" not in str(report)
    assert [target.what for target in report.targets()] == ["loop's overhead under 1 %"]


def test_a_report_judges_each_target() -> None:
    def measured(seconds: float, mebibytes: int) -> Measured:
        return Measured(Durations((seconds,) * 3, (2 * seconds,) * 3), mebibytes * 2**20)

    report = Report(
        machine="a machine",
        settings="a size",
        matrix_rate=100e9,
        comparisons={
            "transformer": BackendComparison(measured(1.0, 500), measured(1.1, 500), 1e-6, 80 * 10**9),
            "vae": BackendComparison(measured(1.0, 300), measured(2.0, 900), 1e-6, 90 * 10**9),
            "picture": BackendComparison(measured(5.0, 800), measured(7.0, 1400), 1e-6, 400 * 10**9),
        },
        loop=Loop(Durations((5.0,), (10.0,)), (0.004,)),
        compiled=None,
        threads=2,
    )
    assert [target.met for target in report.targets()] == [True, False, True, True]
    assert report.processor_share == pytest.approx(1)
    text = str(report)
    assert "80.0 GFLOP at 80 GFLOP/s, 80% of the matrix rate" in text
    assert "MISSED VAE decode 2.3 times as fast: 2.00 times" in text
    assert "take the figures with caution" not in text
    disturbed = replace(report, threads=4)
    assert "take the figures with caution" in str(disturbed)
    on_gpu = replace(report, threads=None, compiled=Compiled(1, Durations((0.4,), (0.1,))))
    assert [target.met for target in on_gpu.targets()] == [True, True, True, True, False, True]
