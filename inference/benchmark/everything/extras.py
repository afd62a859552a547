"""Measures the parts of a run other than the networks, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from inference.benchmark.everything.budget import TimeBudget
from inference.benchmark.everything.modes import float8_rate, measure_batches, measure_float8, measure_modes
from inference.benchmark.everything.start import measure_starts
from inference.benchmark.figures import Figure
from inference.benchmark.workload import Workload
from inference.engine import Engine

#: The names of what is measured, in this order, for progress messages.
EXTRA_PARTS = ("fast mode and few steps", "batches", "float8", "starting twice")
#: Batches are measured for images with the usual sides divided by these numbers.
BATCH_SIDES = (1, 2, 4)
#: An image's sides must be multiples of this: the VAE's scale of 8 times the transformer's patches of 2.
MULTIPLE = 16


def measure_extras(
    engine: Engine, models: Path, folder: Path, workload: Workload, budget: TimeBudget, say: Callable[[str], None]
) -> list[Figure]:
    """Measure the EXTRA_PARTS. engine: ours, loaded from `models`. folder: for temporary files."""
    modes, batches, float8, starts = (f"{name} …" for name in EXTRA_PARTS)
    say(modes)
    figures = measure_modes(engine, workload, budget.next_part())
    say(batches)
    figures += measure_batches(engine, workload, _batch_sizes(workload), budget.next_part())
    say(float8)
    repeats = budget.next_part()
    rate = float8_rate(engine.device, repeats)
    figures += [] if rate is None else [rate]
    figures += measure_float8(Engine.load(models, str(engine.device), "float8"), workload, repeats)
    say(starts)
    budget.next_part()
    dtype = str(engine.dtype).removeprefix("torch.")
    compiled = folder / "compiled"
    compiled.mkdir()
    figures += measure_starts(models, compiled, str(engine.device), dtype, (workload.width, workload.height))
    return figures


def _batch_sizes(workload: Workload) -> list[tuple[int, int]]:
    sizes = [
        tuple(max(MULTIPLE, side // part // MULTIPLE * MULTIPLE) for side in (workload.width, workload.height))
        for part in BATCH_SIDES
    ]
    return [(width, height) for width, height in dict.fromkeys(sizes)]
