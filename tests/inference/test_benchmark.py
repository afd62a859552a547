"""`anima benchmark` compares like with like, counts right, and says what it measured."""

import argparse
import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import torch._dynamo

from bot.cli import benchmark as command
from inference import benchmark
from inference.benchmark.backends import Ours, Theirs
from inference.benchmark.loop import measure_loop, recompilations
from inference.benchmark.memory import peak_bytes
from inference.benchmark.random_model import transformer_shapes, vae_shapes, write_random_model
from inference.benchmark.report import BackendComparison, Compiled, Loop, Measured, Report
from inference.benchmark.roofline import count_flops
from inference.benchmark.timing import Durations, alternate
from inference.benchmark.workload import FULL_TRANSFORMER, FULL_VAE_WIDTH, PARTS, SIZES, Part
from tests.golden import FOLDER

TINY = replace(SIZES["tiny"], width=48, height=32, steps=2)
CPU = torch.device("cpu")

needs_diffusers = pytest.mark.skipif(
    find_spec("diffusers") is None, reason="diffusers is not installed (pip install 'anima-bot[benchmark]')"
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark")
    write_random_model(folder, TINY, torch.float32)
    return folder


@pytest.fixture(scope="module")
def ours(models: Path) -> Ours:
    side = Ours(models, CPU, torch.float32)
    side.write_contexts(models)
    return side


@pytest.fixture(scope="module")
def theirs(models: Path, ours: Ours) -> Theirs:
    return Theirs(models, CPU, torch.float32)


def test_the_full_size_is_that_of_the_released_files() -> None:
    released = json.loads((FOLDER / "full_size_keys.json").read_text())
    transformer, _, vae = ({key: tuple(shape) for key, shape in keys.items()} for keys in released.values())
    assert {f"net.{key}": shape for key, shape in transformer_shapes(FULL_TRANSFORMER).items()} == transformer
    assert vae_shapes(FULL_VAE_WIDTH, FULL_TRANSFORMER.latent_channels) == vae


@needs_diffusers
@pytest.mark.filterwarnings("ignore")  # diffusers' own
@pytest.mark.parametrize("part", PARTS)
def test_both_sides_compute_the_same(part: Part, ours: Ours, theirs: Theirs) -> None:
    assert benchmark.relative_error(ours.run(part, TINY), theirs.run(part, TINY)) < 1e-4


@needs_diffusers
@pytest.mark.filterwarnings("ignore")
def test_sides_that_disagree_are_not_compared(models: Path, theirs: Theirs) -> None:
    changed = Ours(models, CPU, torch.float32)
    with torch.no_grad():
        changed.engine.vae.decoder.conv1.bias += 1
    with pytest.raises(RuntimeError, match="VAE decode: ours and diffusers' differ by"):
        benchmark.compare("vae", TINY, models, [changed, theirs], flops=1, repeats=1)


def test_the_transformers_operations_are_those_of_its_matrices() -> None:
    params, batch, text_rows = TINY.transformer, 2, 40
    tokens = TINY.width * TINY.height // 16**2
    wide = params.width
    per_token = 2 * wide * (4 * wide + 2 * wide + 2 * params.mlp_width)  # self-attention, cross-attention, MLP
    scores_and_values = 4 * wide * (tokens + text_rows)
    blocks = params.depth * batch * tokens * (per_token + scores_and_values)
    patches = 2 * batch * tokens * wide * 4 * (params.latent_channels + 1 + params.latent_channels)
    modulation = 2 * params.modulation_rank * wide * (params.depth * 3 * (1 + 3) + (1 + 2))
    time_embedding = 2 * wide * (wide + 3 * wide)
    assert count_flops(TINY, text_rows)["transformer"] == blocks + patches + modulation + time_embedding


def test_operations_of_the_vae_grow_with_the_picture_and_a_picture_adds_them_up() -> None:
    small, wide = count_flops(TINY, 40), count_flops(replace(TINY, width=2 * TINY.width), 40)
    assert 2 * small["vae"] <= wide["vae"] < 2.1 * small["vae"]  # only the attention grows faster
    assert small["picture"] == TINY.steps * small["transformer"] + small["vae"]


def test_calls_take_turns() -> None:
    order: list[str] = []
    durations = alternate([lambda: order.append("a"), lambda: order.append("b")], 3, CPU)
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert [len(each.seconds) for each in durations] == [3, 3]


def test_the_time_outside_the_networks_is_a_share_of_the_picture(ours: Ours) -> None:
    loop = measure_loop(ours.engine, TINY, repeats=2)
    assert all(0 < share < 1 for share in loop.shares)
    assert "forward" not in vars(ours.engine.transformer), "the clock was left on"


def test_other_picture_sizes_compile_nothing_again(models: Path) -> None:
    torch._dynamo.reset()
    side = Ours(models, CPU, torch.float32)
    for block in side.engine.transformer.blocks:
        block.compile(dynamic=True, backend="eager")
    sizes = [(64, 64), (48, 80), (80, 48), (128, 64)]
    assert recompilations(side.engine.transformer, side.context, sizes) == 0


def test_a_block_that_is_compiled_for_one_size_is_counted_for_each(models: Path) -> None:
    torch._dynamo.reset()
    side = Ours(models, CPU, torch.float32)
    for block in side.engine.transformer.blocks:
        block.compile(dynamic=False, backend="eager")
    assert recompilations(side.engine.transformer, side.context, [(64, 64), (48, 80), (80, 64)]) >= 2


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux's /proc")
def test_peak_memory_holds_weights_and_more_for_a_larger_picture(models: Path, ours: Ours) -> None:
    small, large = (peak_bytes(ours, "vae", models, replace(TINY, width=side, height=side)) for side in (64, 512))
    assert small is not None and large is not None
    weights = sum(weight.nbytes for weight in ours.weights("vae"))
    pixels = 512 * 512 * TINY.vae_width * 4
    assert weights <= small < large
    assert large - small > pixels


def test_a_run_without_diffusers_says_what_to_install_and_measures_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "find_spec", lambda _name: None)
    said: list[str] = []
    report = benchmark.run(TINY, device="cpu", threads=1, repeats=1, say=said.append)
    assert said[0].endswith("`pip install 'anima-bot[benchmark]'`.")
    assert set(report.comparisons) == set(PARTS)
    assert all(comparison.theirs is None for comparison in report.comparisons.values())
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


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--width", "100"], "width is 100"),
        (["--repeats", "0"], "repeats is 0"),
        (["--threads", "0"], "threads is 0"),
        (["--dtype", "float8"], "dtype is 'float8'"),
    ],
)
def test_the_command_refuses_what_cannot_be_in_a_sentence(
    options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    chosen = parser.parse_args(["benchmark", "--size", "tiny", "--device", "cpu", *options])
    with pytest.raises(SystemExit, match="2"):
        chosen.command(chosen)
    assert sentence in capsys.readouterr().err


def test_the_command_offers_every_size() -> None:
    assert tuple(SIZES) == command.SIZES
