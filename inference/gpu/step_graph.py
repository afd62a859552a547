"""Passes of small images as a CUDA graph: recorded once in a batch, then launched as one instead of kernel by kernel.

With few tokens, each kernel ends before the CPU has launched the next. A graph belongs to one batch, so the weights,
texts and sizes in it cannot change: LoRA files and models are switched only between batches.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from inference.devices import is_out_of_memory
from inference.gpu.modulation import Modulation

logger = logging.getLogger(__name__)

#: Passes before recording, in which libraries allocate what they need: allocations must not be recorded.
WARMUP_PASSES = 2
#: Recording takes as long as several passes, so batches with fewer are not recorded.
MIN_PASSES = 16
#: An engine's first recorded pass is computed both ways; this is the largest relative difference.
TOLERANCE = 0.02
#: The part of the time that a graph must save.
MIN_SPEEDUP = 0.1

Pass = Callable[[Tensor, Modulation], Tensor]


class GraphRecorder(Protocol):
    """Records and replays graphs on a device. `CudaRecorder` is one."""

    def record(self, call: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        """The result of `call`, and a function that computes it again into the same tensors. Raises RuntimeError."""
        ...

    def synchronize(self) -> None: ...


class CudaRecorder:
    """Records CUDA graphs."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def record(self, call: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        with torch.cuda.device(self._device):
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):  # type: ignore[no-untyped-call, unused-ignore]
                result = call()
        return result, graph.replay

    def synchronize(self) -> None:
        torch.cuda.synchronize(self._device)


class StepGraphs:
    """An engine's graphs. The first one is tested: graphs are used only if they are correct and faster."""

    def __init__(self, recorder: GraphRecorder, clock: Callable[[], float] = time.perf_counter) -> None:
        self.recorder = recorder
        #: The number of tokens that keeps the device busy, so that launching kernels costs no time; None: unknown.
        self.full_pass: int | None = None
        self.are_used = True
        self._are_tried = False
        self._clock = clock

    def of_batch(self, call: Pass, passes: int, tokens: int) -> Pass:
        """The function to call instead of `call` throughout a batch of `passes` passes with `tokens` tokens each."""
        is_busy = self.full_pass is None or tokens >= self.full_pass
        return call if is_busy or passes < MIN_PASSES or not self.are_used else _RecordedPass(self, call)

    def try_out(self, plain: Callable[[], Tensor], recorded: Callable[[], Tensor]) -> None:
        """Test the first graph. If it is not faster or its result differs, use no graphs from now on."""
        if self._are_tried:
            return
        self._are_tried = True
        expected, plain_seconds = self._timed(plain)
        found, seconds = self._timed(recorded)
        distance = torch.linalg.vector_norm(found.float() - expected.float())
        if not distance <= TOLERANCE * torch.linalg.vector_norm(expected.float()):
            self.give_up("their results differ from those of separate kernel launches")
        elif seconds > (1 - MIN_SPEEDUP) * plain_seconds:
            self.are_used = False
            logger.info("CUDA graphs are not used: separate kernel launches are about as fast here.")

    def give_up(self, why: str) -> None:
        self.are_used = False
        logger.warning("CUDA graphs are not used, so small images take a little longer: %s.", why.rstrip("."))

    def _timed(self, call: Callable[[], Tensor]) -> tuple[Tensor, float]:
        self.recorder.synchronize()
        start = self._clock()
        result = call().clone()
        self.recorder.synchronize()
        return result, self._clock() - start


@dataclass(frozen=True)
class _Recording:
    """A graph with its input and output tensors."""

    x: Tensor
    modulation: tuple[Tensor, ...]
    result: Tensor
    replay: Callable[[], None]

    def takes(self, x: Tensor, modulation: Modulation) -> bool:
        return x.shape == self.x.shape and modulation.final.shape == self.modulation[-1].shape

    def run(self, x: Tensor, modulation: Modulation) -> Tensor:
        """The next pass overwrites the result."""
        self.x.copy_(x)
        torch._foreach_copy_(self.modulation, (*modulation.blocks, modulation.final))
        self.replay()
        return self.result


class _RecordedPass:
    """The passes of one batch: the first ones without a graph, the others with one."""

    def __init__(self, graphs: StepGraphs, call: Pass) -> None:
        self._graphs = graphs
        self._call = call
        self._calls = 0
        self._recording: _Recording | None = None

    def __call__(self, x: Tensor, modulation: Modulation) -> Tensor:
        self._calls += 1
        if self._calls == WARMUP_PASSES + 1 and self._graphs.are_used:
            self._recording = self._record(x, modulation)
        if self._recording is not None and self._graphs.are_used and self._recording.takes(x, modulation):
            return self._recording.run(x, modulation)
        return self._call(x, modulation)

    def _record(self, x: Tensor, modulation: Modulation) -> _Recording | None:
        own_x = x.clone()
        own = Modulation(tuple(part.clone() for part in modulation.blocks), modulation.final.clone())
        try:
            result, replay = self._graphs.recorder.record(lambda: self._call(own_x, own))
            recording = _Recording(own_x, (*own.blocks, own.final), result, replay)
            self._graphs.try_out(lambda: self._call(x, modulation), lambda: recording.run(x, modulation))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                self._graphs.give_up(str(error).partition("\n")[0])
            return None
        return recording
