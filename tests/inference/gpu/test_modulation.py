"""The modulation of all steps at once: the same numbers as step by step, and bounded memory."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

import inference.gpu.passes as passes
from inference import Engine, GenerationRequest
from inference.gpu.modulation import LEVELS_PER_BATCH, Modulation, StepModulations, select_rows
from inference.sampling import SAMPLERS
from tests.golden import MODELS, relative_error

#: A matrix with several rows may be added up in another order than one with a single row.
BOUND = {"float32": 1e-6, "bfloat16": 1e-2, "float16": 1e-3}
CPU = torch.device("cpu")


class Computed:
    """Stands for the transformer: a level's modulation is the level, and each question is written down."""

    def __init__(self) -> None:
        self.asked: list[list[float]] = []

    def __call__(self, levels: Tensor) -> Modulation:
        self.asked.append(levels.tolist())
        return Modulation((levels[:, None, None], 2 * levels[:, None, None]), 3 * levels[:, None, None])


def as_float32(*levels: float) -> list[float]:
    return torch.tensor(levels).tolist()


def test_the_levels_of_a_schedule_are_computed_together() -> None:
    compute, schedule = Computed(), as_float32(1.0, 0.8, 0.8, 0.3, 0.0)
    steps = StepModulations(compute, schedule, CPU)
    for level in schedule:
        found = steps.at(level)
        assert [float(part) for part in (*found.blocks, found.final)] == pytest.approx([level, 2 * level, 3 * level])
    assert compute.asked == [as_float32(1.0, 0.8, 0.3, 0.0)]


def test_levels_beside_the_schedule_are_computed_when_they_are_asked_for_and_once_for_all_tiles() -> None:
    compute, schedule = Computed(), as_float32(1.0, 0.5, 0.0)
    steps = StepModulations(compute, schedule, CPU)
    for level in as_float32(1.0, 0.7, 0.7, 0.5, 0.2, 0.0):
        assert float(steps.at(level).final) == pytest.approx(3 * level)
    assert compute.asked == [schedule, as_float32(0.7), as_float32(0.2)]


def test_long_schedules_are_computed_in_parts_of_which_one_is_kept() -> None:
    compute = Computed()
    schedule = torch.linspace(1, 0, 2 * LEVELS_PER_BATCH + 10).tolist()
    steps = StepModulations(compute, schedule, CPU)
    for level in schedule:
        steps.at(level)
        assert len(steps._known) <= LEVELS_PER_BATCH
    assert [len(asked) for asked in compute.asked] == [LEVELS_PER_BATCH, LEVELS_PER_BATCH, 10]


def test_rows_have_their_own_levels_or_all_the_same() -> None:
    several = Computed()(torch.tensor([1.0, 0.5, 0.25])).blocks
    assert select_rows(several, [2, 0])[0].flatten().tolist() == [0.25, 1.0]
    assert select_rows(several, [2])[1].flatten().tolist() == [0.5]
    one = Computed()(torch.tensor([1.0])).blocks
    assert select_rows(one, [2, 0]) == list(one)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@torch.inference_mode()
def test_levels_computed_together_equal_those_computed_alone(dtype: str) -> None:
    transformer = Engine.load(MODELS, device="cpu", dtype=dtype).transformer
    levels = torch.linspace(1, 0.02, 30)
    for level, found in zip(levels, transformer.modulation(levels).levels(), strict=True):
        alone = transformer.modulation(level[None])
        for one, other in zip((*found.blocks, found.final), (*alone.blocks, alone.final), strict=True):
            assert one.shape == other.shape
            assert relative_error(one.float(), other.float()) < BOUND[dtype]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_images_are_the_same_whichever_way(engine: Engine, monkeypatch: pytest.MonkeyPatch, sampler: str) -> None:
    request = GenerationRequest("1girl", "hat", width=64, height=64, steps=3, seed=5, sampler=sampler)
    request = replace(request, fast=sampler == "euler")
    alone = engine.generate([request])[0].latent
    asked: list[int] = []
    modulation = engine.transformer.modulation

    def compute(levels: Tensor) -> Modulation:
        asked.append(len(levels))
        return modulation(levels)

    monkeypatch.setattr(engine.transformer, "modulation", compute)
    monkeypatch.setattr(passes, "computes_ahead", lambda _device: True)
    assert relative_error(engine.generate([request])[0].latent, alone) < 1e-4
    assert max(asked) >= 3


def test_the_cpu_computes_them_step_by_step() -> None:
    assert not passes.computes_ahead(CPU)
    assert passes.computes_ahead(torch.device("cuda:1"))
