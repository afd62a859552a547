"""Compiles the transformer's blocks on a GPU with `torch.compile`, to one graph for images and texts of every size.

The compiler is imported only where it is used, because that takes as long as importing the rest of PyTorch.
"""

from __future__ import annotations

import logging
import sys

import torch
from torch import Tensor

from inference.gpu.attention import kernels_for
from inference.networks.transformer import Transformer

logger = logging.getLogger(__name__)


def why_not_compiled(device: str) -> str | None:
    """A sentence if `device` is a CUDA GPU and the blocks are not compiled for lack of triton; else None.

    PyTorch for Windows comes without triton, which its compiler needs, and triton works only on newer GPUs.
    """
    if not device.startswith("cuda") or has_triton():
        return None
    package = '"anima-bot[windows-compile]"' if sys.platform == "win32" else "triton"
    return (
        "The blocks are not compiled, because there is no triton that works with this GPU. Images take longer. "
        f"For GPUs of compute capability 7.0 and newer, install it: pip install {package}"
    )


def has_triton() -> bool:
    """Whether PyTorch finds a triton that it can use."""
    try:
        from torch.utils._triton import has_triton as found
    except ImportError:  # the module is private
        return False
    return found()


def is_compiler_fault(error: Exception) -> bool:
    """Whether the compiler raised this because triton, or something that triton needs, is missing or incompatible."""
    from torch._dynamo.exc import BackendCompilerFailed
    from torch._inductor.exc import TritonMissing

    return isinstance(error, (BackendCompilerFailed, TritonMissing, ImportError))


def leave_uncompiled(transformer: Transformer) -> None:
    """Undo `compile_blocks`."""
    for block in transformer.blocks:
        block.__dict__.pop("forward", None)
        block.self_attn.kernels = ()  # type: ignore[union-attr]


def compile_blocks(transformer: Transformer, backend: str = "inductor") -> None:
    """Compile each block when it is first called. All blocks share one graph, and another for a batch of one.

    PyTorch would assume that sizes which are equal at first, such as sixteen heads and the sixteen tokens of a short
    prompt, are always equal. The setting that prevents this belongs to a thread, so it is made around every call.
    """
    from torch.fx.experimental import _config as shapes

    weight = transformer.final_layer.linear.weight
    kernels = kernels_for(weight.device, weight.dtype, transformer.params.head_dim)
    for block in transformer.blocks:
        block.self_attn.kernels = kernels  # type: ignore[union-attr]
        compiled = torch.compile(block.forward, dynamic=True, backend=backend)
        block.forward = shapes.patch(use_duck_shape=False)(compiled)  # type: ignore[attr-defined]


@torch.inference_mode()
def warm_up(transformer: Transformer, text: Tensor) -> None:
    """Call the transformer with guidance of either kind and without, so that no image has to wait for the compiler.

    text: [n, context_width], on the device. No whole image is drawn, because that would also wait for the hash of the
    model's file.
    """
    for passes in (2, 1):
        x = torch.zeros(passes, transformer.params.latent_channels, 8, 8, device=text.device)
        texts = [text] * passes
        for avoided in (None, texts):
            transformer(x, torch.ones(1, device=text.device), transformer.context(texts, avoided))


def graphs_compiled() -> int:
    """How many graphs this process has compiled so far, as PyTorch counts them."""
    import torch._dynamo.utils

    return torch._dynamo.utils.counters["stats"]["unique_graphs"]
