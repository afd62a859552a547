"""Passes of small images as a CUDA graph: recorded once in a batch, then launched as one instead of kernel by kernel.

A pass over few tokens is over before the processor has launched the next kernel. A graph belongs to one batch, so what
it has recorded (weights, texts, sizes) stays as it was until it is forgotten: a LoRA or another model comes between
batches.
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

#: Passes of a batch before it is recorded: they have the libraries reserve what they need, which must not be recorded.
WARMUP_PASSES = 2
#: Recording takes about as long as some passes, so a batch of fewer is not recorded.
MIN_PASSES = 16
#: The first recorded pass of an engine is done both ways; this much they may differ, relative to the pass.
TOLERANCE = 0.02
#: And this much faster it has to be.
MIN_SPEEDUP = 0.1

Pass = Callable[[Tensor, Modulation], Tensor]


class GraphRecorder(Protocol):
    """Records and replays graphs on a device. `CudaRecorder` is one."""

    def record(self, call: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        """What `call` returns, and a function that computes it again in the same tensors. Raises RuntimeError."""
        ...

    def synchronize(self) -> None: ...


class CudaRecorder:
    """Of a CUDA device."""

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
    """An engine's graphs: whether they work on its device, and are faster, is found out with the first."""

    def __init__(self, recorder: GraphRecorder, clock: Callable[[], float] = time.perf_counter) -> None:
        self.recorder = recorder
        #: With so many tokens the device is busy, and launching takes none of its time; None: not known.
        self.full_pass: int | None = None
        self.are_used = True
        self._are_tried = False
        self._clock = clock

    def of_batch(self, call: Pass, passes: int, tokens: int) -> Pass:
        """What to call instead of `call` throughout a batch of so many passes, of so many tokens each."""
        is_busy = self.full_pass is None or tokens >= self.full_pass
        return call if is_busy or passes < MIN_PASSES or not self.are_used else _RecordedPass(self, call)

    def try_out(self, plain: Callable[[], Tensor], recorded: Callable[[], Tensor]) -> None:
        """With the first graph: do without from now on, if that is as fast, or gives something else."""
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
    """A graph with the tensors that it reads and writes."""

    x: Tensor
    modulation: tuple[Tensor, ...]
    result: Tensor
    replay: Callable[[], None]

    def takes(self, x: Tensor, modulation: Modulation) -> bool:
        return x.shape == self.x.shape and modulation.final.shape == self.modulation[-1].shape

    def run(self, x: Tensor, modulation: Modulation) -> Tensor:
        """The result is overwritten by the next pass."""
        self.x.copy_(x)
        torch._foreach_copy_(self.modulation, (*modulation.blocks, modulation.final))
        self.replay()
        return self.result


class _RecordedPass:
    """The passes of one batch: the first ones plain, then recorded."""

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
