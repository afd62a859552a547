"""`torch.compile` on a GPU: the blocks are compiled, and one graph serves images and texts of every size.

The compiler is imported where it is used: that takes as long as importing the rest of PyTorch.
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
    """Why the blocks are not compiled on `device`, in a sentence; None where they are, or never would be.

    PyTorch for Windows comes without triton, which its compiler needs; and triton works on newer GPUs alone.
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
    """Whether the compiler raised this because triton, or what triton needs, is missing or does not fit."""
    from torch._dynamo.exc import BackendCompilerFailed
    from torch._inductor.exc import TritonMissing

    return isinstance(error, (BackendCompilerFailed, TritonMissing, ImportError))


def leave_uncompiled(transformer: Transformer) -> None:
    """Undo `compile_blocks`."""
    for block in transformer.blocks:
        block.__dict__.pop("forward", None)
        block.self_attn.kernels = ()  # type: ignore[union-attr]


def compile_blocks(transformer: Transformer, backend: str = "inductor") -> None:
    """Have each block compiled when it is first called: all blocks share one graph, and another for a batch of one.

    Sizes that are equal at first, such as sixteen heads and the sixteen tokens of a short prompt, are not taken to be
    equal forever, as PyTorch would. The setting belongs to a thread, so it is made around every call.
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
    """Call the transformer as it is called with guidance of either kind and without, so that no image waits.

    text: [n, context_width], on the device. Nothing but the blocks is called: a whole image would also wait until the
    hash of the model's file is known.
    """
    for passes in (2, 1):
        x = torch.zeros(passes, transformer.params.latent_channels, 8, 8, device=text.device)
        texts = [text] * passes
        for avoided in (None, texts):
            transformer(x, torch.ones(1, device=text.device), transformer.context(texts, avoided))


def graphs_compiled() -> int:
    """How many graphs this process has compiled so far, by PyTorch's own count."""
    import torch._dynamo.utils

    return torch._dynamo.utils.counters["stats"]["unique_graphs"]
