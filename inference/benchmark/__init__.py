"""`anima benchmark`: our networks and our loop beside diffusers', on the same random weights.

A model with random weights is written to a temporary folder in the layout of the released files, and both sides load
it from there. Before anything is timed, the two must agree. Then they take turns, so that what else the machine
does affects both alike.
"""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from inference.benchmark.backends import Ours, Side, Theirs
from inference.benchmark.loop import measure_compiled, measure_loop
from inference.benchmark.memory import peak_bytes
from inference.benchmark.random_model import write_random_model
from inference.benchmark.report import BackendComparison, Measured, Report
from inference.benchmark.roofline import count_flops, matrix_rate
from inference.benchmark.timing import alternate
from inference.benchmark.workload import CFG_SCALE, PARTS, SIZES, Part, Workload
from inference.engine import choose_device, choose_dtype

__all__ = ["SIZES", "Report", "Workload", "default_size", "run"]

INSTALL_DIFFUSERS = "diffusers is not installed, so ours are measured alone; `pip install 'anima-bot[benchmark]'`."


#: The relative error at which two implementations still compute the same. In bfloat16 theirs keeps the residual stream
#: in bfloat16, ours in float32.
AGREEMENT = {torch.float32: 1e-3, torch.bfloat16: 0.1}


def run(
    workload: Workload,
    device: str = "auto",
    dtype: str = "auto",
    threads: int | None = None,
    repeats: int = 3,
    say: Callable[[str], None] = print,
) -> Report:
    """Measure everything; `say` is called with what is being done.

    Raises ValueError for invalid settings, RuntimeError where the two sides do not agree.
    """
    where = choose_device(device)
    number = choose_dtype(dtype, where)
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}, but must be at least 1.")
    if threads is not None:
        if threads < 1:
            raise ValueError(f"threads is {threads}, but must be at least 1.")
        torch.set_num_threads(threads)
    workload.request("euler").check()
    with_diffusers = find_spec("diffusers") is not None
    if not with_diffusers:
        say(INSTALL_DIFFUSERS)
    with tempfile.TemporaryDirectory(prefix="anima-benchmark-") as folder:
        say("writing a model with random weights …")
        models = Path(folder)
        write_random_model(models, workload, number)
        ours = Ours(models, where, number)
        ours.write_contexts(models)
        flops = count_flops(workload, text_rows=ours.context.bias.shape[-1])
        sides: list[Side] = [ours, Theirs(models, where, number)] if with_diffusers else [ours]
        comparisons: dict[Part, BackendComparison] = {}
        rates: list[float] = []
        for part, name in PARTS.items():
            say(f"{name} …")
            rates.append(matrix_rate(where, number))
            comparisons[part] = compare(part, workload, models, sides, flops[part], repeats)
        say("our loop …")
        loop = measure_loop(ours.engine, workload, repeats)
        compiled = None
        if where.type == "cuda":
            say("compiled blocks …")
            compiled = measure_compiled(ours.engine, ours.context, workload, repeats)
    versions = f"torch {torch.__version__}" + (f", diffusers {version('diffusers')}" if with_diffusers else "")
    return Report(
        machine=_machine(where),
        settings=_settings(workload, number, versions),
        matrix_rate=max(rates),
        comparisons=comparisons,
        loop=loop,
        compiled=compiled,
        threads=torch.get_num_threads() if where.type == "cpu" else None,
    )


def default_size(device: str) -> str:
    """The name in SIZES that suits a device. Raises ValueError for a device that does not exist."""
    return "full" if choose_device(device).type == "cuda" else "medium"


def compare(
    part: Part, workload: Workload, models: Path, sides: Sequence[Side], flops: int, repeats: int
) -> BackendComparison:
    """Check that the sides, ours first, compute the same, then time them in turns and read their peak memory.

    Raises RuntimeError where they do not agree.
    """
    results = [side.run(part, workload) for side in sides]
    difference = relative_error(results[0], results[1]) if len(sides) == 2 else None
    dtype = sides[0].dtype
    if difference is not None and not difference <= AGREEMENT[dtype] and (part != "picture" or dtype == torch.float32):
        raise RuntimeError(
            f"{PARTS[part]}: ours and diffusers' differ by {difference:.1e}, so comparing their speed is meaningless. "
            f"This was written for diffusers 0.42; {version('diffusers')} is installed."
        )
    calls = [partial(side.run, part, workload) for side in sides]
    measured = [
        Measured(durations, peak_bytes(side, part, models, workload))
        for side, durations in zip(sides, alternate(calls, repeats, sides[0].device), strict=True)
    ]
    ours, theirs = measured if len(measured) == 2 else (measured[0], None)
    return BackendComparison(ours, theirs, difference, flops)


def relative_error(result: Tensor, expected: Tensor) -> float:
    expected = expected.double()
    return float((result.double() - expected).norm() / expected.norm())


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{_processor()}, {capability}, {torch.get_num_threads()} threads"


def _processor() -> str:
    """The processor's name; on Linux only a file has it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _settings(workload: Workload, dtype: torch.dtype, versions: str) -> str:
    params = workload.transformer
    return (
        f"transformer {params.width} wide, {params.depth} blocks; VAE {workload.vae_width} wide; "
        f"{workload.width}x{workload.height}, {workload.steps} steps, CFG {CFG_SCALE:g}, "
        f"{str(dtype).removeprefix('torch.')}; {versions}"
    )
