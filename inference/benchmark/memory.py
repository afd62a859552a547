"""Peak memory of one part on one side, in a process of its own."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import torch

from inference.benchmark.sides import Side
from inference.benchmark.workload import Part, Workload

CLEAR_REFS = Path("/proc/self/clear_refs")


def peak_bytes(
    side: type[Side], part: Part, models: Path, workload: Workload, device: torch.device, dtype: torch.dtype
) -> int | None:
    """The highest memory of one part, in a process of its own: the weights that it uses and its working memory.

    Working memory is what PyTorch allocates on CUDA, and on the CPU how much the resident memory of the process
    rises; None where the system does not tell (anywhere but on Linux).
    """
    if device.type != "cuda" and not CLEAR_REFS.exists():
        return None
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        threads = torch.get_num_threads()
        return fresh.submit(_peak_bytes, side, part, models, workload, device, dtype, threads).result()


def _peak_bytes(
    side: type[Side],
    part: Part,
    models: Path,
    workload: Workload,
    device: torch.device,
    dtype: torch.dtype,
    threads: int,
) -> int:
    torch.set_num_threads(threads)
    loaded = side(models, device, dtype)
    weights = sum(weight.nbytes for weight in loaded.weights(part))
    # What is made once and stays, such as memory-mapped weights on their first use, is no working memory.
    loaded.run(part, replace(workload, width=32, height=32, steps=1))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        loaded.run(part, workload)
        return weights + torch.cuda.max_memory_allocated(device) - before
    CLEAR_REFS.write_text("5")  # the peak starts anew from what is resident now: proc_pid_clear_refs(5)
    before = _peak_resident_bytes()
    loaded.run(part, workload)
    return weights + _peak_resident_bytes() - before


def _peak_resident_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024
