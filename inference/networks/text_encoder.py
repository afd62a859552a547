"""From a prompt to the transformer's text context: weights, two tokenizers, Qwen3, adapter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from inference.networks.adapter import TextAdapter
from inference.networks.qwen import Qwen, QwenParams
from inference.networks.structure import shapes_alone
from inference.networks.tokenizer_files import QWEN_EMPTY, open_tokenizer
from inference.prompt import parse_weights, without_embeddings
from inference.request import CheckpointError
from inference.weights.weights_file import WeightsFile, load_module, reading_sizes_off

T5_END = "</s>"
CACHED_PROMPTS = 64
#: Heads for other tasks, and tensors that ComfyUI saves with every text encoder.
IGNORED_QWEN_KEYS = ("lm_head.", "score.", "v_head.", "logit_scale", "text_projection")


@dataclass(frozen=True)
class PromptTokens:
    """A prompt as both tokenizers see it. Weights belong to the T5 tokens."""

    qwen_ids: tuple[int, ...]
    t5_ids: tuple[int, ...]
    t5_weights: tuple[float, ...]


class PromptTokenizer:
    def __init__(self, qwen_folder: Path, t5_folder: Path) -> None:
        self._qwen = open_tokenizer(qwen_folder)
        self._t5 = open_tokenizer(t5_folder)
        self._qwen_empty = _token_id(self._qwen, QWEN_EMPTY, qwen_folder)
        self._t5_end = _token_id(self._t5, T5_END, t5_folder)

    def __call__(self, prompt: str) -> PromptTokens:
        """Each weighted segment is tokenised separately, and the tokens are joined; nothing is truncated.

        `embedding:name` is left out, see `inference.prompt`.
        """
        qwen_ids: list[int] = []
        t5_ids: list[int] = []
        t5_weights: list[float] = []
        pieces = ((piece, weight) for text, weight in parse_weights(prompt) for piece in without_embeddings(text)[0])
        for text, weight in pieces:
            qwen_ids += self._qwen.encode(text, add_special_tokens=False).ids
            ids = self._t5.encode(text, add_special_tokens=False).ids
            t5_ids += ids
            t5_weights += [weight] * len(ids)
        return PromptTokens(tuple(qwen_ids or [self._qwen_empty]), (*t5_ids, self._t5_end), (*t5_weights, 1.0))


class TextEncoder:
    """Encodes prompts with Qwen3. The last hidden states of the latest CACHED_PROMPTS prompts are cached."""

    def __init__(self, tokenizer: PromptTokenizer, qwen: Qwen) -> None:
        self.tokenizer = tokenizer
        self.qwen = qwen
        #: Called before Qwen3 runs.
        self.before_encoding: Callable[[], None] = lambda: None
        self._remember = lru_cache(CACHED_PROMPTS)(self._encode)

    def context(self, prompt: str, adapter: TextAdapter) -> Tensor:
        """The prompt's text context [n, width], in the dtype of the weights, without the zero rows after it."""
        tokens, hidden = self._remember(prompt)
        hidden = hidden.to(adapter.out_proj.weight.dtype)
        ids = torch.tensor([tokens.t5_ids], device=hidden.device)
        weights = torch.tensor(tokens.t5_weights, device=hidden.device, dtype=hidden.dtype)
        return adapter(hidden, ids)[0] * weights[:, None]

    def forget(self) -> None:
        """Clear the cache, for when the weights are about to change."""
        self._remember.cache_clear()

    def _encode(self, prompt: str) -> tuple[PromptTokens, Tensor]:
        tokens = self.tokenizer(prompt)
        self.before_encoding()
        ids = torch.tensor([tokens.qwen_ids], device=self.qwen.device)
        return tokens, self.qwen(ids)


def build_qwen(file: WeightsFile) -> Qwen:
    """A Qwen3 with the sizes of `file`, on the meta device. Raises CheckpointError."""
    with shapes_alone(), reading_sizes_off(file):
        return Qwen(QwenParams.from_shapes(file.shapes))


def load_qwen(file: WeightsFile, device: torch.device, dtype: torch.dtype) -> Qwen:
    """Load the Qwen3 in `file`. Raises CheckpointError."""
    qwen = build_qwen(file)
    load_module(qwen, file, device, dtype, ignored=IGNORED_QWEN_KEYS)
    return qwen


def _token_id(tokenizer: Tokenizer, token: str, folder: Path) -> int:
    token_id = tokenizer.token_to_id(token)
    if token_id is None:
        raise CheckpointError(
            f"The tokenizer in {folder} has no token {token}: it belongs to another model. "
            "Delete the folder and run `anima download`."
        )
    return token_id
