"""Chooses PyTorch's kernel for self-attention on a GPU.

By the kind of the GPU, and not by timing each of them at the start: their results differ in the last bits, so where two
are about as fast, a seed would give now the one image and now the other. Only self-attention has a choice: the others
have a bias, and as many lengths as there are prompts, for each of which cuDNN would first build a plan.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

logger = logging.getLogger(__name__)

#: NVIDIA's Hopper. From there on cuDNN's kernel is made for the GPU, while PyTorch's own is that of the generation
#: before: with heads of 128 features cuDNN is ahead at every length on Hopper and Blackwell alike (figures in
#: huggingface/transformers#48163 and sgl-project/sglang#38689).
FIRST_WITH_OWN_CUDNN = (9, 0)
#: How far a kernel's result may be from the exact one, relative to it. bfloat16 rounds by 0.2 to 0.4 %.
TRIAL_TOLERANCE = 0.02
TRIAL_SHAPE = (2, 4, 256)


def attention(query: Tensor, key: Tensor, value: Tensor, kernels: tuple[SDPBackend, ...]) -> Tensor:
    """Attention without a bias, by the first of `kernels` that takes it; by PyTorch's own choice where there are none.

    The choice is made when a block is compiled. Uncompiled, making it takes longer than a small attention.
    """
    if not kernels:
        return F.scaled_dot_product_attention(query, key, value)
    with sdpa_kernel(list(kernels), set_priority=True):
        return F.scaled_dot_product_attention(query, key, value)


@lru_cache
def kernels_for(device: torch.device, dtype: torch.dtype, head_dim: int) -> tuple[SDPBackend, ...]:
    """The kernels to use on a device, the best first; none but on CUDA."""
    if device.type != "cuda":
        return ()
    found = working_kernels(
        torch.cuda.get_device_capability(device), lambda kernel: _is_exact(kernel, device, dtype, head_dim)
    )
    logger.info("Self-attention runs on %s.", found[0].name)
    return found


def working_kernels(capability: tuple[int, int], works: Callable[[SDPBackend], bool]) -> tuple[SDPBackend, ...]:
    """In which order a GPU of this compute capability uses those kernels that work on it."""
    wanted = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]
    if capability >= FIRST_WITH_OWN_CUDNN:
        wanted.insert(0, SDPBackend.CUDNN_ATTENTION)
    return (*filter(works, wanted), SDPBackend.MATH)


def _is_exact(kernel: SDPBackend, device: torch.device, dtype: torch.dtype, head_dim: int) -> bool:
    """Whether a kernel is there, and gives what attention is. Some versions of cuDNN's gave other numbers."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(3, *TRIAL_SHAPE, head_dim, generator=generator).to(device, dtype)
    try:
        with sdpa_kernel([kernel]):
            found = F.scaled_dot_product_attention(*inputs).float()
    except RuntimeError:
        return False
    with sdpa_kernel([SDPBackend.MATH]):
        exact = F.scaled_dot_product_attention(*inputs.float())
    return bool(torch.linalg.vector_norm(found - exact) <= TRIAL_TOLERANCE * torch.linalg.vector_norm(exact))
