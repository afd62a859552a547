"""Counts the networks' floating-point operations, and measures how many the machine can do per second."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from inference.benchmark.timing import Repeats, alternate
from inference.benchmark.workload import Part, Workload, vae_params
from inference.networks.transformer import Context, Transformer
from inference.networks.vae import Vae


@torch.inference_mode()
def count_flops(workload: Workload, text_rows: int) -> dict[Part, int]:
    """Floating-point operations of each part's matrix products and convolutions in our implementation.

    text_rows: how many keys the cross-attention reads (see `pad_texts`; diffusers' reads 512). PyTorch counts on the
    meta device; a multiplication and an addition are two operations.
    """
    params = workload.transformer
    with torch.device("meta"):
        transformer, vae = Transformer(params), Vae(vae_params(workload.vae_width, params.latent_channels)).to("meta")
        heads = params.width // params.head_dim
        rows = torch.zeros(2, heads, text_rows, params.head_dim)
        context = Context(((rows, rows),) * params.depth, torch.zeros(2, 1, 1, text_rows))
        latent = workload.latent(torch.device("meta"))
        with FlopCounterMode(display=False) as counter:
            transformer(latent.expand(2, -1, -1, -1), torch.ones(1), context)
        forward = counter.get_total_flops()
        with FlopCounterMode(display=False) as counter:
            vae.decode(latent)
        decode = counter.get_total_flops()
    return {"transformer": forward, "vae": decode, "picture": workload.steps * forward + decode}


@torch.inference_mode()
def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a square matrix product, the best of ten."""
    side = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    (durations,) = alternate([lambda: a @ b], Repeats(10), device)
    return 2 * side**3 / min(durations.seconds)


@torch.inference_mode()
def memory_rate(device: torch.device) -> float:
    """Bytes a second read plus written while a large tensor is copied, the best of ten."""
    size = 2**30 if device.type == "cuda" else 2**28
    source = torch.ones(size // 4, device=device)
    target = torch.empty_like(source)
    (durations,) = alternate([lambda: target.copy_(source)], Repeats(10), device)
    return 2 * size / min(durations.seconds)
