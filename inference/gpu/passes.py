"""Runs the transformer's passes for one batch of images, from the first step to the last."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from inference.fast.block_cache import BlockCache
from inference.gpu.modulation import Modulation, StepModulations
from inference.gpu.step_graph import CudaRecorder, Pass, StepGraphs
from inference.networks.params import PATCH
from inference.networks.transformer import Context, Transformer


def computes_ahead(device: torch.device) -> bool:
    """Whether the modulation of a schedule is computed at once. On the CPU it is only a hundredth of a step's time."""
    return device.type == "cuda"


def step_graphs(device: torch.device) -> StepGraphs | None:
    """The graphs for an engine on this device; None if it does not support them."""
    return StepGraphs(CudaRecorder(device)) if device.type == "cuda" and torch.version.hip is None else None


class Passes:
    """Calls the transformer with the inputs that stay the same from step to step."""

    def __init__(
        self,
        transformer: Transformer,
        context: Context,
        cache: BlockCache | None,
        schedule: Sequence[float],
        device: torch.device,
        graphs: StepGraphs | None = None,
    ) -> None:
        """schedule: the noise levels that the sampler should evaluate. graphs: for images drawn without tiles."""
        self._transformer = transformer
        self._context = context
        self._cache = cache
        self._device = device
        self._steps = len(schedule) - 1
        self._graphs = graphs if cache is None else None
        self._pass: Pass | None = None
        self._modulations = None
        if computes_ahead(device):
            self._modulations = StepModulations(transformer.modulation, schedule, device)

    def velocity(self, x: Tensor, level: float) -> Tensor:
        """The transformer's velocity, with one noise level for the whole batch."""
        if self._modulations is None:
            return self._plain(x, torch.full((1,), level, dtype=torch.float32, device=self._device))
        if self._pass is None:
            tokens = len(x) * math.ceil(x.shape[-2] / PATCH) * math.ceil(x.shape[-1] / PATCH)
            graphs = self._graphs
            self._pass = self._plain if graphs is None else graphs.of_batch(self._plain, self._steps, tokens)
        return self._pass(x, self._modulations.at(level))

    def _plain(self, x: Tensor, level: Tensor | Modulation) -> Tensor:
        velocity: Tensor = self._transformer(x, level, self._context, self._cache)
        return velocity
