"""The number formats in which a model is stored and computed."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Precision:
    """compute: the dtype of matrix products, and of all weights that are not in float8.

    float8: the blocks' large matrices are kept in 8 bits, see `inference.networks.float8`.
    """

    compute: torch.dtype
    float8: bool = False

    @property
    def name(self) -> str:
        """Its name in ANIMA_DTYPE."""
        return "float8" if self.float8 else str(self.compute).removeprefix("torch.")

    @property
    def text_encoder(self) -> torch.dtype:
        """The dtype for Qwen3: its residual stream has the dtype of its weights, and values too large for float16."""
        return torch.float32 if self.compute == torch.float16 else self.compute


#: The values of ANIMA_DTYPE besides "auto".
PRECISIONS = {
    "float32": Precision(torch.float32),
    "bfloat16": Precision(torch.bfloat16),
    "float16": Precision(torch.float16),
    "float8": Precision(torch.bfloat16, float8=True),
}
