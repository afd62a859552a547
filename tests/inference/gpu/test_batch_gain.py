"""From which size on a batch gains nothing, with devices of different profiles."""

import logging
from collections.abc import Callable
from functools import partial

import pytest
import torch

import inference.gpu.batch_gain as batch_gain
from inference import Engine
from inference.gpu.batch_gain import FULL_ON_CPU, SIZES, full_at, full_pass
from inference.process import EngineProcess, load_engine
from tests.golden import MODELS

#: Seconds of a pass over some tokens.
Profile = Callable[[int], float]


def large_card(tokens: int) -> float:
    """Launching takes longer than computing up to 3,000 tokens."""
    return max(3000, tokens) * 1e-6


def small_card(tokens: int) -> float:
    """Always busy, with a little to do for each pass."""
    return (20 + tokens) * 1e-5


def uneven_card(tokens: int) -> float:
    """2,048 tokens fit it badly, so from 1,024 to there nothing is gained, and then much."""
    return large_card(tokens) * (2 if tokens == 2048 else 1)


def endless_card(tokens: int) -> float:
    return 1.0


@pytest.mark.parametrize(
    ("profile", "full"), [(large_card, 4096), (small_card, 256), (uneven_card, 4096), (endless_card, None)]
)
def test_the_size_is_found_at_which_a_device_is_busy(profile: Profile, full: int | None) -> None:
    assert full_at(SIZES, profile) == full


def test_no_more_is_measured_than_is_needed() -> None:
    measured: list[int] = []

    def seconds(tokens: int) -> float:
        measured.append(tokens)
        return small_card(tokens)

    full_at(SIZES, seconds)
    assert measured == [256, 512, 1024]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> Callable[[], int | None]:
    """Measures the engine's own blocks as on a GPU, on the CPU; a clock that tells the large card's seconds."""
    device = torch.device("cpu")
    passed = 0.0
    tokens: list[int] = []
    run_blocks = engine.transformer.run_blocks

    def run(blocks: slice, x: torch.Tensor, *rest: object) -> torch.Tensor:
        nonlocal passed
        tokens.append(x.shape[0] * x.shape[1])
        passed += large_card(tokens[-1])
        return run_blocks(blocks, x, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(engine.transformer, "run_blocks", run)
    monkeypatch.setattr(batch_gain.time, "perf_counter", lambda: passed)
    monkeypatch.setattr(batch_gain, "is_measured", lambda _device: True)
    monkeypatch.setattr(batch_gain, "SIZES", (256, 512, 1024, 2048))
    return partial(full_pass, engine.transformer, device)


def test_passes_of_the_models_own_blocks_are_timed(
    gpu: Callable[[], int | None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert gpu() is None, "up to 2,048 tokens the large card gains"
    monkeypatch.setattr("tests.inference.gpu.test_batch_gain.large_card", small_card)
    with caplog.at_level(logging.INFO):
        assert gpu() == 256
    assert "256 tokens" in caplog.messages[-1]


def test_a_device_without_room_for_it_is_not_measured(
    gpu: Callable[[], int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> float:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(batch_gain, "_seconds", no_room)
    assert gpu() is None


def test_an_engine_says_it_when_it_is_loaded() -> None:
    process = EngineProcess(partial(load_engine, str(MODELS), "cpu", "float32", None))
    try:
        assert process.start().full_pass == FULL_ON_CPU
    finally:
        process.stop()
