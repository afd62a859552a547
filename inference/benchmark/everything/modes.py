"""Times whole images in each mode (few steps, fast mode, 8 bits), and batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch

from inference.benchmark.figures import FAST, FEW_STEPS, FLOAT8_SIDE, OURS, Figure
from inference.benchmark.timing import Durations, Repeats, alternate
from inference.benchmark.workload import PARTS, TURBO_STEPS, Workload
from inference.engine import Engine
from inference.networks.float8 import FLOAT8, multiplies_float8
from inference.networks.float8 import product as float8_product
from inference.request import GenerationRequest

#: Numbers of images drawn at once, and their steps: enough for the mean time of a step, and few enough to be quick.
BATCHES = (1, 2, 4)
BATCH_STEPS = 4
IMAGE = PARTS["picture"]


def measure_modes(engine: Engine, workload: Workload, repeats: Repeats) -> list[Figure]:
    """Time the usual image, the same in fast mode, and one with few steps and without guidance, in turns.

    The usual image is only there for fairness: its figure is left out, because it is measured elsewhere.
    """
    usual = workload.request("euler")
    modes = {
        OURS: usual,
        FAST: replace(usual, fast=True),
        FEW_STEPS: replace(usual, steps=TURBO_STEPS, cfg_scale=1.0),
    }
    calls = [partial(engine.generate, [request]) for request in modes.values()]
    for call in calls:
        call()
    found = dict(zip(modes, alternate(calls, repeats, engine.device), strict=True))
    return [_figure(IMAGE, side, durations) for side, durations in found.items() if side != OURS]


def measure_float8(engine: Engine, workload: Workload, repeats: Repeats) -> list[Figure]:
    """Time whole images. engine: one with float8 matrices."""
    draw = partial(engine.generate, [workload.request("euler")])
    draw()
    (durations,) = alternate([draw], repeats, engine.device)
    return [_figure(IMAGE, FLOAT8_SIDE, durations)]


@torch.inference_mode()
def float8_rate(device: torch.device, repeats: Repeats) -> Figure | None:
    """Operations a second of float8 products, including the activations' rounding; None if the device has none."""
    if not multiplies_float8(device):
        return None
    side = 8192
    x = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    rows, scale = x.to(FLOAT8), torch.ones(side, device=device)
    multiply = partial(float8_product, x, rows, scale)
    multiply()
    (durations,) = alternate([multiply], repeats, device)
    return Figure("matrix rate in 8 bits", OURS, "FLOP/s", tuple(2 * side**3 / each for each in durations.seconds))


def measure_batches(
    engine: Engine, workload: Workload, sizes: Sequence[tuple[int, int]], repeats: Repeats
) -> list[Figure]:
    """Seconds of one step divided by the batch size, without decoding, for the batch sizes in BATCHES and `sizes`."""
    figures = []
    for width, height in sizes:
        request = replace(workload.request("euler"), width=width, height=height, steps=BATCH_STEPS)
        requests = [replace(request, seed=request.seed + number) for number in range(max(BATCHES))]
        batches = {count: requests[:count] for count in BATCHES}
        figures += _measure_batches(engine, f"a step for each image, {width}x{height}", batches, repeats)
    return figures


def _measure_batches(
    engine: Engine, name: str, batches: Mapping[int, Sequence[GenerationRequest]], repeats: Repeats
) -> list[Figure]:
    seconds: dict[int, list[float]] = {count: [] for count in batches}

    def draw(count: int) -> None:
        images = engine.generate(batches[count])
        seconds[count].append(images[0].timings.sampling / BATCH_STEPS / count)

    calls = [partial(draw, count) for count in batches]
    for call in calls:
        call()
    for each in seconds.values():
        each.clear()
    alternate(calls, repeats, engine.device)
    return [Figure(name, _at_once(count), "s", tuple(each)) for count, each in seconds.items()]


def _at_once(count: int) -> str:
    return "alone" if count == 1 else f"{count} at once"


def _figure(name: str, side: str, durations: Durations) -> Figure:
    return Figure(name, side, "s", durations.seconds)
