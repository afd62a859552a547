"""The same plan that a GPU is measured with runs on a CPU, at a tiny size, and leaves nothing out."""

from collections import Counter
from pathlib import Path

import pytest

from inference.benchmark.backends import AnimaBackend
from inference.benchmark.everything.budget import TimeBudget
from inference.benchmark.everything.extras import EXTRA_PARTS, measure_extras
from inference.benchmark.everything.start import STAGES, measure_starts
from tests.inference.benchmark.tiny import TINY

pytestmark = pytest.mark.xdist_group("benchmark")


def test_nothing_is_left_out_however_short_the_time_is(models: Path, ours: AnimaBackend, tmp_path: Path) -> None:
    said: list[str] = []
    figures = measure_extras(ours.engine, models, tmp_path, TINY, TimeBudget(0.001, 4, max_repeats=5), said.append)
    assert said == [f"{part} …" for part in EXTRA_PARTS]
    assert {len(figure.values) for figure in figures} == {1}, "there was no time to repeat anything"
    sides = Counter(figure.side for figure in figures)
    assert sides["fast mode"] == sides["8 steps, CFG 1"] == sides["float8"] == 1
    assert sides["alone"] == sides["2 at once"] == sides["4 at once"] > 1
    assert sides["first start"] == sides["second start"] == len(STAGES) + 1
    assert all(value > 0 for figure in figures for value in figure.values if figure.unit == "s")


def test_a_failed_start_is_explained(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="The engine did not start in a separate process: "):
        measure_starts(tmp_path / "none", tmp_path, "cpu", "float32", (64, 64))
