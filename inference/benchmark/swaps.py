"""Times switching the diffusion model: from its file, and on a GPU from main memory."""

from __future__ import annotations

from pathlib import Path

import torch

from inference.benchmark.report import Swaps
from inference.benchmark.timing import Repeats, alternate
from inference.pool.diffusion_model import DiffusionModel
from inference.weights.headers.contents import TRANSFORMER_MARK
from inference.weights.weights_file import WeightsFile


def measure_swaps(file: Path, device: torch.device, dtype: torch.dtype, repeats: Repeats) -> Swaps:
    """Load the diffusion model in `file` repeatedly; from the second time on, it is in the system's page cache.

    On a GPU, also move it to main memory and back.
    """
    models: list[DiffusionModel] = []

    def read() -> None:
        while models:
            models.pop().release()
        models.append(DiffusionModel(WeightsFile(file, TRANSFORMER_MARK), device, dtype))

    read()
    (from_file,) = alternate([read], repeats, device)
    (model,) = models
    if device.type == "cpu":
        return Swaps(model.size, from_file, None)
    leave, come = alternate(
        [lambda: model.move_to(torch.device("cpu")), lambda: model.move_to(device)], repeats, device
    )
    return Swaps(model.size, from_file, (leave, come))
