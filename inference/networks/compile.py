"""The compiler's part on a GPU: the blocks are compiled, and one graph serves images and texts of every size."""

from __future__ import annotations

import torch
import torch._dynamo.utils
from torch import Tensor
from torch.fx.experimental import _config as shapes

from inference.networks.transformer import Transformer


def compile_blocks(transformer: Transformer, backend: str = "inductor") -> None:
    """Have each block compiled when it is first called: all blocks share one graph, and another for a batch of one.

    Sizes that are equal at first, such as sixteen heads and the sixteen tokens of a short prompt, are not taken to be
    equal for ever, as PyTorch would. The setting belongs to a thread, hence it is made around every call.
    """
    for block in transformer.blocks:
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
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]
