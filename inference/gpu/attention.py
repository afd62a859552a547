"""Chooses PyTorch's kernel for self-attention on a GPU.

The choice depends on the GPU's generation, not on timing: the kernels' results differ in the last bits, so with two
about equally fast, a seed would not always give the same image. Only self-attention has a choice: cross-attention has a
bias, and a different length for each prompt, for which cuDNN would first build a plan.
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

#: NVIDIA's Hopper. From there on cuDNN has a kernel made for the GPU, while PyTorch's own is made for the generation
#: before. With heads of 128 features cuDNN is faster at every length on Hopper and Blackwell (figures in
#: huggingface/transformers#48163 and sgl-project/sglang#38689).
FIRST_WITH_OWN_CUDNN = (9, 0)
#: The largest relative error of a kernel's result. bfloat16 rounds by 0.2 to 0.4 %.
TRIAL_TOLERANCE = 0.02
TRIAL_SHAPE = (2, 4, 256)


def attention(query: Tensor, key: Tensor, value: Tensor, kernels: tuple[SDPBackend, ...]) -> Tensor:
    """Attention without a bias, with the first of `kernels` that supports it; PyTorch chooses if there are none.

    In compiled blocks the choice is made once. Uncompiled, making it takes longer than a small attention.
    """
    if not kernels:
        return F.scaled_dot_product_attention(query, key, value)
    with sdpa_kernel(list(kernels), set_priority=True):
        return F.scaled_dot_product_attention(query, key, value)


@lru_cache
def kernels_for(device: torch.device, dtype: torch.dtype, head_dim: int) -> tuple[SDPBackend, ...]:
    """The kernels to use on a device, the best first. Empty for devices other than CUDA."""
    if device.type != "cuda":
        return ()
    found = working_kernels(
        torch.cuda.get_device_capability(device), lambda kernel: _is_exact(kernel, device, dtype, head_dim)
    )
    logger.info("Self-attention runs on %s.", found[0].name)
    return found


def working_kernels(capability: tuple[int, int], works: Callable[[SDPBackend], bool]) -> tuple[SDPBackend, ...]:
    """The kernels that work on a GPU of this compute capability, in order of preference."""
    wanted = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]
    if capability >= FIRST_WITH_OWN_CUDNN:
        wanted.insert(0, SDPBackend.CUDNN_ATTENTION)
    return (*filter(works, wanted), SDPBackend.MATH)


def _is_exact(kernel: SDPBackend, device: torch.device, dtype: torch.dtype, head_dim: int) -> bool:
    """Whether a kernel is available and correct. Some versions of cuDNN gave wrong results."""
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
