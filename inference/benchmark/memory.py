"""Measures the peak memory of one part on one side: the weights that it uses, and its working memory."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import torch

from inference.benchmark.backends import Backend
from inference.benchmark.workload import Part, Workload

CLEAR_REFS = Path("/proc/self/clear_refs")


def peak_bytes(side: Backend, part: Part, models: Path, workload: Workload) -> int | None:
    """The peak memory of one part, weights included. On CUDA, PyTorch reports what it allocates.

    On the CPU, the part runs in a new process, whose rise in resident memory is measured; None outside Linux, which
    alone reports it.
    """
    weights = sum(weight.nbytes for weight in side.weights(part))
    if side.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(side.device)
        before = torch.cuda.memory_allocated(side.device)
        side.run(part, workload)
        return weights + torch.cuda.max_memory_allocated(side.device) - before
    if not CLEAR_REFS.exists():
        return None
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        threads = torch.get_num_threads()
        return weights + fresh.submit(_rise, type(side), part, models, workload, side.dtype, threads).result()


def _rise(side: type[Backend], part: Part, models: Path, workload: Workload, dtype: torch.dtype, threads: int) -> int:
    torch.set_num_threads(threads)
    loaded = side(models, torch.device("cpu"), dtype)
    # The first run allocates what stays, such as memory-mapped weights: that is not working memory.
    loaded.run(part, replace(workload, width=32, height=32, steps=1))
    CLEAR_REFS.write_text("5", encoding="utf-8")  # resets the peak to what is resident now: proc_pid_clear_refs(5)
    before = _peak_resident_bytes()
    loaded.run(part, workload)
    return _peak_resident_bytes() - before


def _peak_resident_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024
