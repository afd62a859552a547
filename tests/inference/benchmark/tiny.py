"""The smallest workload, which the tests measure."""

from dataclasses import replace

import torch

from inference.benchmark.workload import SIZES

TINY = replace(SIZES["tiny"], width=48, height=32, steps=2)
CPU = torch.device("cpu")
