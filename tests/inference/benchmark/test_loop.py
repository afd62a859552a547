"""The sampling loop's own time is measured, and what is compiled again for another size is counted."""

from pathlib import Path

import torch
import torch._dynamo

from inference.benchmark.backends import AnimaBackend
from inference.benchmark.loop import measure_loop, recompilations
from inference.benchmark.timing import Repeats
from tests.inference.benchmark.tiny import CPU, TINY


def test_the_time_outside_the_networks_is_a_share_of_the_picture(ours: AnimaBackend) -> None:
    loop = measure_loop(ours.engine, TINY, repeats=Repeats(2))
    assert all(0 < share < 1 for share in loop.shares)
    assert "forward" not in vars(ours.engine.transformer), "the clock was left on"


def test_other_picture_sizes_compile_nothing_again(models: Path) -> None:
    torch._dynamo.reset()
    side = AnimaBackend(models, CPU, torch.float32)
    for block in side.engine.transformer.blocks:
        block.compile(dynamic=True, backend="eager")
    sizes = [(64, 64), (48, 80), (80, 48), (128, 64)]
    assert recompilations(side.engine.transformer, side.context, sizes) == 0


def test_a_block_that_is_compiled_for_one_size_is_counted_for_each(models: Path) -> None:
    torch._dynamo.reset()
    side = AnimaBackend(models, CPU, torch.float32)
    for block in side.engine.transformer.blocks:
        block.compile(dynamic=False, backend="eager")
    assert recompilations(side.engine.transformer, side.context, [(64, 64), (48, 80), (80, 64)]) >= 2
