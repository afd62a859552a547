"""Times what is not in the networks: the sampling loop, and on a GPU counts recompilations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch

from inference.benchmark.report import Compiled, Loop
from inference.benchmark.timing import Repeats, alternate
from inference.benchmark.workload import TURBO_STEPS, Workload
from inference.engine import Engine
from inference.networks.compile import graphs_compiled
from inference.networks.transformer import Context, Transformer
from inference.networks.vae import SCALE

COMPILED_SIZES = ((1024, 1024), (896, 1152), (1152, 896), (832, 1216), (1216, 832), (768, 1344), (512, 512))


def measure_loop(engine: Engine, workload: Workload, repeats: Repeats) -> Loop:
    """Generate with er_sde, and measure how much of the time is spent outside the networks."""
    generate = partial(engine.generate, [workload.request("er_sde")])
    generate()
    inside: list[float] = []

    def timed() -> None:
        with _network_laps(engine) as laps:
            generate()
        inside.append(sum(_seconds(start, end) for start, end in laps))

    (durations,) = alternate([timed], repeats, engine.device)
    shares = [1 - part / whole for part, whole in zip(inside, durations.seconds, strict=True)]
    return Loop(durations, tuple(shares))


Moment = float | torch.cuda.Event


@contextmanager
def _network_laps(engine: Engine) -> Iterator[list[tuple[Moment, Moment]]]:
    """A list to which the start and end of each call of a network are added."""
    networks = (
        (engine.text_encoder, "context"),
        (engine.transformer, "context"),
        (engine.transformer, "forward"),
        (engine.vae, "decode"),
    )
    laps: list[tuple[Moment, Moment]] = []

    def timed(call: Callable[..., object]) -> Callable[..., object]:
        def timed_call(*arguments: object) -> object:
            start = _now(engine.device)
            result = call(*arguments)
            laps.append((start, _now(engine.device)))
            return result

        return timed_call

    for network, name in networks:
        setattr(network, name, timed(getattr(network, name)))
    try:
        yield laps
    finally:
        for network, name in networks:
            delattr(network, name)


def _now(device: torch.device) -> Moment:
    """The time now; on CUDA, an event that the GPU times when it gets there: waiting for the GPU would take time."""
    if device.type != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record()
    return event


def _seconds(start: Moment, end: Moment) -> float:
    if isinstance(start, torch.cuda.Event) and isinstance(end, torch.cuda.Event):
        end.synchronize()
        return float(start.elapsed_time(end)) / 1000
    assert isinstance(start, float) and isinstance(end, float)
    return end - start


def measure_compiled(engine: Engine, context: Context, workload: Workload, repeats: Repeats) -> Compiled:
    recompiled = recompilations(engine.transformer, context, COMPILED_SIZES)
    generate = partial(engine.generate, [replace(workload.request("er_sde"), steps=TURBO_STEPS, cfg_scale=1.0)])
    generate()
    (turbo,) = alternate([generate], repeats, engine.device)
    return Compiled(recompiled, turbo)


@torch.inference_mode()
def recompilations(transformer: Transformer, context: Context, sizes: Sequence[tuple[int, int]]) -> int:
    """How many more graphs torch.compile makes for the sizes after the first."""
    sigma = torch.tensor([0.7], device=context.bias.device)
    graphs = []
    for width, height in sizes:
        x = torch.zeros(
            (len(context.bias), transformer.params.latent_channels, height // SCALE, width // SCALE),
            device=context.bias.device,
        )
        transformer(x, sigma, context)
        graphs.append(graphs_compiled())
    return graphs[-1] - graphs[0]
