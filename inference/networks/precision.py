"""The number formats in which a model is stored and computed."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Precision:
    """compute: of matrix products, and of all weights but those in float8.

    float8: the blocks' large matrices are kept in 8 bits, see `inference.networks.float8`.
    """

    compute: torch.dtype
    float8: bool = False

    @property
    def name(self) -> str:
        """As ANIMA_DTYPE has it."""
        return "float8" if self.float8 else str(self.compute).removeprefix("torch.")

    @property
    def text_encoder(self) -> torch.dtype:
        """Qwen3's residual stream has the dtype of its weights, and values that float16 does not hold."""
        return torch.float32 if self.compute == torch.float16 else self.compute


#: What ANIMA_DTYPE may name beside "auto".
PRECISIONS = {
    "float32": Precision(torch.float32),
    "bfloat16": Precision(torch.bfloat16),
    "float16": Precision(torch.float16),
    "float8": Precision(torch.bfloat16, float8=True),
}
