"""Passes recorded as a graph, with a recorder on the CPU that is as strict as CUDA's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

import inference.gpu.passes as passes
from inference import Engine, GenerationRequest
from inference.gpu.modulation import Modulation
from inference.gpu.step_graph import MIN_PASSES, WARMUP_PASSES, StepGraphs
from tests.golden import MODELS, relative_error

REQUEST = GenerationRequest("1girl", "hat", width=64, height=64, steps=20, seed=5, sampler="euler")


class Recorded(TorchDispatchMode):
    """Writes down what is computed, each operation with the tensors that it reads and writes, as CUDA does.

    What would wait for the device's numbers is refused: they are not there while it is recorded.
    """

    WAITING = ("aten::_local_scalar_dense", "aten::nonzero", "aten::equal")

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Sequence[Any], Mapping[str, Any], Any]] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if function._schema.name in self.WAITING:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        result = function(*args, **(kwargs or {}))
        self.operations.append((function, args, kwargs or {}, result))
        return result

    def replay(self) -> None:
        """Do the same with the same tensors; views are what they were."""
        for function, args, kwargs, kept in self.operations:
            found = function(*args, **kwargs)
            for old, new in zip(tree_flatten(kept)[0], tree_flatten(found)[0], strict=True):
                if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


@dataclass
class CpuRecorder:
    """As `CudaRecorder`. `errors`: raised by the next recordings. `shift`: added to all that is replayed."""

    errors: list[Exception] = field(default_factory=list)
    shift: float = 0.0
    recorded: int = 0
    replayed: int = 0
    waits: int = 0

    def record(self, call: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        if self.errors:
            raise self.errors.pop(0)
        self.recorded += 1
        with Recorded() as recorded:
            result = call()

        def replay() -> None:
            self.replayed += 1
            recorded.replay()
            result.add_(self.shift)

        return result, replay

    def synchronize(self) -> None:
        self.waits += 1


@dataclass
class RunningClock:
    """Seconds that the plain pass and the recorded one take, in turns."""

    plain: float = 1.0
    recorded: float = 0.5
    looks: int = 0

    def __call__(self) -> float:
        self.looks += 1
        return (0.0, self.plain, 0.0, self.recorded)[(self.looks - 1) % 4]


@dataclass(frozen=True)
class Gpu:
    """An engine on the CPU that takes itself for one on a GPU which small images leave waiting."""

    engine: Engine
    recorder: CpuRecorder
    clock: RunningClock
    graphs: StepGraphs

    def draw(self, **fields: Any) -> Tensor:
        return self.engine.generate([replace(REQUEST, **fields)])[0].latent


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    monkeypatch.setattr(passes, "computes_ahead", lambda _device: True)
    recorder, clock = CpuRecorder(), RunningClock()
    graphs = StepGraphs(recorder, clock)
    graphs.full_pass = 1024
    engine = Engine.load(MODELS, device="cpu")
    engine.graphs = graphs
    return Gpu(engine, recorder, clock, graphs)


def without_graphs(gpu: Gpu, **fields: Any) -> Tensor:
    gpu.engine.graphs = None
    latent = gpu.draw(**fields)
    gpu.engine.graphs = gpu.graphs
    return latent


def test_a_recorded_batch_gives_the_same_image_and_the_next_is_recorded_again(gpu: Gpu) -> None:
    for fields in ({}, {"prompt": "hat, " * 50}, {"loras": (("lokr", 1.0),)}, {"cfg_scale": 1.0, "seed": 6}):
        gpu.recorder.recorded = gpu.recorder.replayed = 0
        assert relative_error(gpu.draw(**fields), without_graphs(gpu, **fields)) < 1e-5
        assert gpu.recorder.recorded == 1
        assert gpu.recorder.replayed >= REQUEST.steps - WARMUP_PASSES


def test_only_the_first_graph_of_an_engine_is_tried_out(gpu: Gpu) -> None:
    gpu.draw()
    waits = gpu.recorder.waits
    assert waits
    gpu.draw()
    assert (gpu.recorder.waits, gpu.recorder.recorded) == (waits, 2)


@pytest.mark.parametrize(
    "fields",
    [
        {"steps": MIN_PASSES - 1},
        {"width": 512, "height": 512},
        {"fast": True},
        {"tiled": True},
    ],
    ids=["few steps", "a busy device", "fast mode", "tiles"],
)
def test_passes_that_gain_nothing_or_change_between_steps_are_not_recorded(gpu: Gpu, fields: dict[str, Any]) -> None:
    gpu.draw(**fields)
    assert gpu.recorder.recorded == 0


def test_nothing_is_recorded_where_it_is_not_known_how_busy_the_device_is(gpu: Gpu) -> None:
    gpu.graphs.full_pass = None
    gpu.draw()
    assert gpu.recorder.recorded == 0


def test_graphs_with_different_results_are_reported_and_never_used(gpu: Gpu, caplog: pytest.LogCaptureFixture) -> None:
    gpu.recorder.shift = 1.0
    with caplog.at_level(logging.WARNING):
        assert relative_error(gpu.draw(), without_graphs(gpu)) < 1e-5
    assert [record.getMessage() for record in caplog.records] == [
        "CUDA graphs are not used, so small images take a little longer: their results differ from those of separate "
        "kernel launches."
    ]
    gpu.draw()
    assert gpu.recorder.recorded == 1


def test_graphs_that_are_no_faster_are_not_used(gpu: Gpu) -> None:
    gpu.clock.recorded = 0.95
    gpu.draw()
    gpu.draw()
    assert (gpu.recorder.recorded, gpu.recorder.replayed) == (1, 1)


def test_failures_to_record_are_reported_once_and_drawn_without_a_graph(
    gpu: Gpu, caplog: pytest.LogCaptureFixture
) -> None:
    gpu.recorder.errors = [RuntimeError("operation not permitted when stream is capturing\nmore of it")]
    with caplog.at_level(logging.WARNING):
        assert relative_error(gpu.draw(), without_graphs(gpu)) < 1e-5
        gpu.draw()
    assert [record.getMessage() for record in caplog.records] == [
        "CUDA graphs are not used, so small images take a little longer: operation not permitted when stream is "
        "capturing."
    ]
    assert gpu.recorder.recorded == 0


def test_a_batch_without_memory_for_a_graph_is_drawn_plainly_and_the_next_may_have_one(gpu: Gpu) -> None:
    gpu.recorder.errors = [torch.OutOfMemoryError("CUDA out of memory.")]
    assert relative_error(gpu.draw(), without_graphs(gpu)) < 1e-5
    gpu.draw()
    assert gpu.recorder.recorded == 1


def test_a_pass_that_would_wait_for_its_numbers_cannot_be_recorded() -> None:
    with pytest.raises(RuntimeError, match="capturing"):
        CpuRecorder().record(lambda: torch.ones(1) * float(torch.ones(1).sum()))


def test_another_size_within_a_batch_is_drawn_plainly() -> None:
    recorder = CpuRecorder()
    graphs = StepGraphs(recorder, RunningClock())
    graphs.full_pass = 1024
    call = graphs.of_batch(lambda x, modulation: x * modulation.final, MIN_PASSES, 16)
    for step in range(MIN_PASSES):
        x, level = torch.full((1, 4 + step % 2), float(step)), torch.full((1, 1), 2.0 + step)
        assert torch.equal(call(x, Modulation((level,), level)), x * level)
    assert recorder.recorded == 1
