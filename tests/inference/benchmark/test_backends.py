"""Our networks and diffusers' compute the same; where they do not, nothing is compared."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from inference import benchmark, devices
from inference.benchmark import BenchmarkOptions
from inference.benchmark.backends import AnimaBackend, DiffusersBackend
from inference.benchmark.timing import Repeats
from inference.benchmark.workload import PARTS, Part
from tests.inference.benchmark.tiny import CPU, TINY

#: The tests share one model of each side, which is loaded once if one worker runs them all.
pytestmark = pytest.mark.xdist_group("benchmark")

needs_diffusers = pytest.mark.skipif(
    find_spec("diffusers") is None, reason="diffusers is not installed (pip install 'anima-bot[benchmark]')"
)


@pytest.fixture(scope="module")
def theirs(models: Path, ours: AnimaBackend) -> DiffusersBackend:
    return DiffusersBackend(models, CPU, torch.float32)


@needs_diffusers
@pytest.mark.filterwarnings("ignore")  # diffusers' own
@pytest.mark.parametrize("part", PARTS)
def test_both_sides_compute_the_same(part: Part, ours: AnimaBackend, theirs: DiffusersBackend) -> None:
    assert benchmark.relative_error(ours.run(part, TINY), theirs.run(part, TINY)) < 1e-4


@needs_diffusers
@pytest.mark.filterwarnings("ignore")
def test_sides_that_disagree_are_not_compared(models: Path, theirs: DiffusersBackend) -> None:
    changed = AnimaBackend(models, CPU, torch.float32)
    with torch.no_grad():
        changed.engine.vae.decoder.conv1.bias += 1
    with pytest.raises(RuntimeError, match="VAE decode: ours and diffusers' differ by"):
        benchmark.compare("vae", TINY, models, [changed, theirs], flops=1, repeats=Repeats(1))


def test_a_dtype_without_a_known_agreement_is_measured_only_where_nothing_is_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured: list[torch.dtype] = []
    monkeypatch.setattr(benchmark, "_measure", lambda *arguments: measured.append(arguments[3]))
    monkeypatch.setattr(benchmark, "find_spec", lambda _name: None)
    benchmark.run(TINY, BenchmarkOptions(device="cpu", dtype="float16"))
    assert measured == [torch.float16]
    monkeypatch.setattr(benchmark, "find_spec", lambda _name: object())
    with pytest.raises(ValueError, match="dtype is 'float16', for which no tolerance"):
        benchmark.run(TINY, BenchmarkOptions(device="cpu", dtype="float16"))
    benchmark.run(TINY, BenchmarkOptions(device="cpu", dtype="bfloat16"))
    assert measured == [torch.float16, torch.bfloat16]


def test_what_is_measured_is_what_the_engine_would_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor with AMX draws wide models in bfloat16, small ones in float32."""
    measured: list[torch.dtype] = []
    monkeypatch.setattr(benchmark, "_measure", lambda *arguments: measured.append(arguments[3]))
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_tile": True, "amx_bf16": True})
    benchmark.run(TINY, BenchmarkOptions(device="cpu"))
    monkeypatch.setattr(devices, "WIDE", TINY.transformer.width)
    benchmark.run(TINY, BenchmarkOptions(device="cpu"))
    assert measured == [torch.float32, torch.bfloat16]
