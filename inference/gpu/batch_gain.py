"""Measures at the start from which size on a larger batch saves no time, so that nobody waits longer for nothing.

A pass over few tokens leaves the GPU idle, so a second image in it costs little. Once a pass keeps the device busy, two
images take twice as long as one, so it is better to finish the first image sooner.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch

from inference.devices import is_out_of_memory, synchronize
from inference.networks.transformer import Block, Context, Transformer, image_rotation, pad_texts

logger = logging.getLogger(__name__)

#: The part of the time that a larger batch has to save.
MIN_GAIN = 0.1
#: Tokens in the measured passes; an image of 1024x1024 with guidance has 8,192.
SIZES = (256, 512, 1024, 2048, 4096, 8192, 16384)
#: Tokens on a side of the images in these passes.
SIDE = 16
#: The number of blocks to measure; all blocks are alike.
BLOCKS = 2
REPEATS = 3
TEXT = 64
#: On a CPU nothing is measured: that would take longer than an image of the bundled model. With 512 tokens the
#: transformer reaches 94 % of two cores' matrix rate (docs/benchmarks.md), so larger batches gain at most the rest.
FULL_ON_CPU = 512


@torch.inference_mode()
def full_pass(transformer: Transformer, device: torch.device) -> int | None:
    """How many tokens in one pass keep a device busy; None if unknown, or more than were tried."""
    if not is_measured(device):
        return FULL_ON_CPU if device.type == "cpu" else None
    try:
        found = full_at(SIZES, lambda tokens: _seconds(transformer, tokens, device))
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return None
    if found is not None:
        logger.info("%d tokens keep the device busy, so batches do not grow beyond that.", found)
    return found


def is_measured(device: torch.device) -> bool:
    """Whether `full_pass` measures on this device."""
    return device.type == "cuda"


def full_at(sizes: Sequence[int], seconds: Callable[[int], float]) -> int | None:
    """The first size from which doubling it saves too little time. sizes: each twice the one before.

    It must save too little twice in a row: a size that suits the device badly makes the next one look good, and the
    reverse.
    """
    times: dict[int, float] = {}
    full: int | None = None
    for size, double in pairwise(sizes):
        for each in (size, double):
            if each not in times:
                times[each] = seconds(each)
        if times[double] < 2 * times[size] * (1 - MIN_GAIN):
            full = None
        elif full is not None:
            return full
        else:
            full = size
    return full


def _seconds(transformer: Transformer, tokens: int, device: torch.device) -> float:
    """The shortest time that a pass of `BLOCKS` blocks over so many tokens takes."""
    params, rows = transformer.params, tokens // SIDE**2
    texts = list(torch.randn(rows, TEXT, params.context_width, device=device).to(_dtype(transformer)))
    padded, bias = pad_texts(texts)
    blocks = [block for block in transformer.blocks[:BLOCKS] if isinstance(block, Block)]
    context = Context(tuple(block.cross_attn.keys_values(padded) for block in blocks), bias)
    x = torch.randn(rows, SIDE**2, params.width, device=device)
    rotation = image_rotation(SIDE, SIDE, params.head_dim, device)
    modulation = transformer.modulation(torch.ones(1, device=device)).blocks[: len(blocks)]

    def run() -> float:
        start = time.perf_counter()
        transformer.run_blocks(slice(0, len(blocks)), x, modulation, rotation, context)
        synchronize(device)
        return time.perf_counter() - start

    synchronize(device)
    run()
    return min(run() for _ in range(REPEATS))


def _dtype(transformer: Transformer) -> torch.dtype:
    return transformer.final_layer.linear.weight.dtype
