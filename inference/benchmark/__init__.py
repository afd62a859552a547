"""`anima benchmark`: compares our networks and sampling loop with diffusers', on the same random weights.

A model with random weights is written to a temporary folder in the layout of the released files, and both sides load
it from there. Before anything is timed, their results must agree. Then they are timed in turns, so that other load on
the machine affects both alike.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from inference.benchmark.backends import AnimaBackend, Backend, DiffusersBackend
from inference.benchmark.everything.budget import TimeBudget
from inference.benchmark.everything.extras import EXTRA_PARTS, measure_extras
from inference.benchmark.loop import measure_compiled, measure_loop
from inference.benchmark.machine import examine_machine
from inference.benchmark.memory import peak_bytes
from inference.benchmark.random_model import write_random_model
from inference.benchmark.report import BackendComparison, Measured, Report
from inference.benchmark.roofline import count_flops, matrix_rate, memory_rate
from inference.benchmark.swaps import measure_swaps
from inference.benchmark.timing import Repeats, alternate
from inference.benchmark.workload import CFG_SCALE, PARTS, SIZES, Part, Workload
from inference.devices import choose_device, choose_precision

__all__ = ["SIZES", "BenchmarkOptions", "Report", "Workload", "default_size", "run"]

INSTALL_DIFFUSERS = "diffusers is not installed, so ours are measured alone; `pip install 'anima-bot[benchmark]'`."


#: The largest relative error at which two implementations still agree. In bfloat16, diffusers keeps the residual stream
#: in bfloat16, and ours keeps it in float32.
AGREEMENT = {torch.float32: 1e-3, torch.bfloat16: 0.1}


@dataclass(frozen=True)
class BenchmarkOptions:
    """How to measure. everything: modes, batches and starts too. minutes: the time limit. command: the command line."""

    device: str = "auto"
    dtype: str = "auto"
    threads: int | None = None
    repeats: int = 3
    everything: bool = False
    minutes: float | None = None
    command: str = ""

    def check(self) -> None:
        """Raises ValueError for invalid settings."""
        if self.repeats < 1:
            raise ValueError(f"repeats is {self.repeats}, but must be at least 1.")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads is {self.threads}, but must be at least 1.")
        if self.minutes is not None and not self.minutes > 0:
            raise ValueError(f"minutes is {self.minutes:g}, but must be more than 0.")

    def budget(self, parts: int) -> TimeBudget:
        if self.minutes is None:
            return TimeBudget.unlimited(self.repeats)
        return TimeBudget(60 * self.minutes, parts, self.repeats)


def run(workload: Workload, options: BenchmarkOptions, say: Callable[[str], None] = print) -> Report:
    """Measure everything; `say` is called with progress messages.

    Raises ValueError for invalid settings, RuntimeError if the two sides do not agree.
    """
    where = choose_device(options.device)
    number = _measured_dtype(options.dtype, where, workload.transformer.width)
    options.check()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    workload.request("euler").check()
    with tempfile.TemporaryDirectory(prefix="anima-benchmark-", ignore_cleanup_errors=True) as folder:
        report = _measure(Path(folder), workload, where, number, options, say)
        gc.collect()  # releases the models: Windows cannot delete a file that is mapped
    return report


def _measured_dtype(name: str, device: torch.device, width: int) -> torch.dtype:
    """The dtype that `name` means for a transformer of that width. Raises ValueError if it cannot be measured here."""
    precision = choose_precision(name, device, width)
    if precision.float8:
        raise ValueError("dtype is 'float8', which is not measured here. Choose float32 or bfloat16.")
    if precision.compute not in AGREEMENT and find_spec("diffusers") is not None:
        raise ValueError(
            f"dtype is {precision.name!r}, for which no tolerance between ours and diffusers' is known. "
            "Choose float32 or bfloat16, or uninstall diffusers to measure ours alone."
        )
    return precision.compute


def _measure(
    folder: Path,
    workload: Workload,
    where: torch.device,
    number: torch.dtype,
    options: BenchmarkOptions,
    say: Callable[[str], None],
) -> Report:
    """Write a model to the empty folder, and measure with it."""
    machine = examine_machine(where)
    with_diffusers = find_spec("diffusers") is not None
    if not with_diffusers:
        say(INSTALL_DIFFUSERS)
    budget = options.budget(len(PARTS) + 3 + (len(EXTRA_PARTS) if options.everything else 0))
    say("writing a model with random weights …")
    models = folder / "models"
    models.mkdir()
    write_random_model(models, workload, number)
    ours = AnimaBackend(models, where, number)
    ours.write_contexts(models)
    flops = count_flops(workload, text_rows=ours.context.bias.shape[-1])
    sides: list[Backend] = [ours, DiffusersBackend(models, where, number)] if with_diffusers else [ours]
    comparisons: dict[Part, BackendComparison] = {}
    rates: list[float] = []
    for part, name in PARTS.items():
        say(f"{name} …")
        rates.append(matrix_rate(where, number))
        comparisons[part] = compare(part, workload, models, sides, flops[part], budget.next_part())
    say("our loop …")
    loop = measure_loop(ours.engine, workload, budget.next_part())
    say("another model …")
    swaps = measure_swaps(ours.engine.files.transformer.path, where, number, budget.next_part())
    compiled = None
    repeats = budget.next_part()
    if where.type == "cuda":
        say("compiled blocks …")
        compiled = measure_compiled(ours.engine, ours.context, workload, repeats)
    del sides
    more = measure_extras(ours.engine, models, folder, workload, budget, say) if options.everything else ()
    return Report(
        machine=machine,
        command=options.command,
        settings=_settings(workload, number),
        matrix_rate=max(rates),
        memory_rate=memory_rate(where),
        comparisons=comparisons,
        loop=loop,
        compiled=compiled,
        swaps=swaps,
        threads=torch.get_num_threads() if where.type == "cpu" else None,
        more=tuple(more),
    )


def default_size(device: str) -> str:
    """The name in SIZES that suits a device. Raises ValueError for a device that does not exist."""
    return "full" if choose_device(device).type == "cuda" else "medium"


def compare(
    part: Part, workload: Workload, models: Path, sides: Sequence[Backend], flops: int, repeats: Repeats
) -> BackendComparison:
    """Check that the sides (ours first) agree, then time them in turns and measure their peak memory.

    Raises RuntimeError if they do not agree.
    """
    results = [side.run(part, workload) for side in sides]
    difference = relative_error(results[0], results[1]) if len(sides) == 2 else None
    dtype = sides[0].dtype
    if difference is not None and not difference <= AGREEMENT[dtype] and (part != "picture" or dtype == torch.float32):
        raise RuntimeError(
            f"{PARTS[part]}: ours and diffusers' differ by {difference:.1e}, so comparing their speed is meaningless. "
            f"This was written for diffusers 0.42, and {version('diffusers')} is installed."
        )
    calls = [partial(side.run, part, workload) for side in sides]
    measured = [
        Measured(durations, peak_bytes(side, part, models, workload))
        for side, durations in zip(sides, alternate(calls, repeats, sides[0].device), strict=True)
    ]
    ours, theirs = measured if len(measured) == 2 else (measured[0], None)
    weights = sum(weight.nbytes for weight in sides[0].weights(part))
    return BackendComparison(ours, theirs, difference, flops, weights * (workload.steps if part == "picture" else 1))


def relative_error(result: Tensor, expected: Tensor) -> float:
    expected = expected.double()
    return float((result.double() - expected).norm() / expected.norm())


def _settings(workload: Workload, dtype: torch.dtype) -> str:
    params = workload.transformer
    return (
        f"transformer {params.width} wide, {params.depth} blocks; VAE {workload.vae_width} wide; "
        f"{workload.width}x{workload.height}, {workload.steps} steps, CFG {CFG_SCALE:g}, "
        f"{str(dtype).removeprefix('torch.')}"
    )
