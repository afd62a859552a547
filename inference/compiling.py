"""The compiler's part on a GPU: the blocks are compiled, and one graph serves pictures and texts of every size."""

from __future__ import annotations

from torch import compile as torch_compile
from torch.fx.experimental import _config as shapes

from inference.transformer import Transformer


def compile_blocks(transformer: Transformer, backend: str = "inductor") -> None:
    """Have each block compiled when it is first called: all blocks share one graph, and another for a batch of one.

    Sizes that are equal at first, such as sixteen heads and the sixteen tokens of a short prompt, are not taken to be
    equal for ever, as PyTorch would. The setting belongs to a thread, hence it is made around every call.
    """
    for block in transformer.blocks:
        compiled = torch_compile(block.forward, dynamic=True, backend=backend)
        block.forward = shapes.patch(use_duck_shape=False)(compiled)  # type: ignore[attr-defined]
