"""The smallest workload, which the tests measure."""

from dataclasses import replace

import torch

from inference.benchmark.machine import BenchmarkMachine
from inference.benchmark.workload import SIZES

MACHINE = BenchmarkMachine(
    processor="a processor",
    instructions="AVX2",
    cores=2,
    threads=2,
    memory_bytes=8 * 2**30,
    system="Linux 6",
    gpu=None,
    load=0.5,
    versions={"Python": "3.11", "torch": "2.13"},
)
TINY = replace(SIZES["tiny"], width=48, height=32, steps=2)
CPU = torch.device("cpu")
