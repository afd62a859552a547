"""From a prompt to the transformer's text context: weights, two tokenizers, Qwen3, adapter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import Qwen2Tokenizer, Qwen3Config, Qwen3Model
from transformers.models.qwen3.modeling_qwen3 import Qwen3RotaryEmbedding

from inference.networks.adapter import TextAdapter
from inference.prompt import parse_weights
from inference.request import CheckpointError
from inference.weights.weights_file import WeightsFile, load_module, reading_sizes_off

QWEN_EMPTY = "<|endoftext|>"
T5_END = "</s>"
REMEMBERED_PROMPTS = 64
#: The head that guesses the next token.
IGNORED_QWEN_KEYS = ("lm_head.",)


@dataclass(frozen=True)
class PromptTokens:
    """A prompt as both tokenizers see it. Weights belong to the T5 tokens."""

    qwen_ids: tuple[int, ...]
    t5_ids: tuple[int, ...]
    t5_weights: tuple[float, ...]


class PromptTokenizer:
    def __init__(self, qwen_folder: Path, t5_folder: Path) -> None:
        self._qwen = _open_tokenizer(qwen_folder)
        self._t5 = _open_tokenizer(t5_folder)
        self._qwen_empty = _token_id(self._qwen, QWEN_EMPTY, qwen_folder)
        self._t5_end = _token_id(self._t5, T5_END, t5_folder)

    def __call__(self, prompt: str) -> PromptTokens:
        """Each weighted segment is tokenised separately, and the pieces are joined; nothing is cut off."""
        qwen_ids: list[int] = []
        t5_ids: list[int] = []
        t5_weights: list[float] = []
        for text, weight in parse_weights(prompt):
            qwen_ids += self._qwen.encode(text, add_special_tokens=False).ids
            ids = self._t5.encode(text, add_special_tokens=False).ids
            t5_ids += ids
            t5_weights += [weight] * len(ids)
        return PromptTokens(tuple(qwen_ids or [self._qwen_empty]), (*t5_ids, self._t5_end), (*t5_weights, 1.0))


class TextEncoder:
    """Qwen3's last hidden states of a prompt, remembered for the prompts used last."""

    def __init__(self, tokenizer: PromptTokenizer, qwen: Qwen3Model) -> None:
        self.tokenizer = tokenizer
        self.qwen = qwen
        self._remember = lru_cache(REMEMBERED_PROMPTS)(self._encode)

    def context(self, prompt: str, adapter: TextAdapter) -> Tensor:
        """The prompt's text context [n, width], in the dtype of the weights, without the zero rows after it."""
        tokens, hidden = self._remember(prompt)
        ids = torch.tensor([tokens.t5_ids], device=hidden.device)
        weights = torch.tensor(tokens.t5_weights, device=hidden.device, dtype=hidden.dtype)
        return adapter(hidden, ids)[0] * weights[:, None]

    def forget(self) -> None:
        """Encode every prompt again from now on, since the weights are about to change."""
        self._remember.cache_clear()

    def _encode(self, prompt: str) -> tuple[PromptTokens, Tensor]:
        tokens = self.tokenizer(prompt)
        ids = torch.tensor([tokens.qwen_ids], device=self.qwen.device)
        return tokens, self.qwen(input_ids=ids, use_cache=False).last_hidden_state


def load_qwen(file: WeightsFile, device: torch.device, dtype: torch.dtype) -> Qwen3Model:
    """Build Qwen3 (arXiv 2505.09388) to the sizes of `file`. Raises CheckpointError."""
    with reading_sizes_off(file):
        config = qwen_config(file.shapes)
        with torch.device("meta"):
            qwen = Qwen3Model(config)
    qwen.rotary_emb = Qwen3RotaryEmbedding(config)  # its table is computed, so it must not stay on the meta device
    load_module(qwen, file, device, dtype, ignored=IGNORED_QWEN_KEYS)
    return qwen


def qwen_config(shapes: Mapping[str, Sequence[int]]) -> Qwen3Config:
    """The sizes of a Qwen3 from its tensors' shapes; a KeyError names a key that is not there."""
    vocabulary, width = shapes["embed_tokens.weight"]
    head_dim = shapes["layers.0.self_attn.q_norm.weight"][0]
    return Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=shapes["layers.0.mlp.gate_proj.weight"][0],
        num_hidden_layers=len({key.split(".")[1] for key in shapes if key.startswith("layers.")}),
        num_attention_heads=shapes["layers.0.self_attn.q_proj.weight"][0] // head_dim,
        num_key_value_heads=shapes["layers.0.self_attn.k_proj.weight"][0] // head_dim,
        head_dim=head_dim,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        attention_bias=False,
        attn_implementation="sdpa",  # type: ignore[call-arg]
    )


def _open_tokenizer(folder: Path) -> Tokenizer:
    file = folder / "tokenizer.json"
    try:
        if file.is_file():
            return Tokenizer.from_file(str(file))
        return Qwen2Tokenizer.from_pretrained(folder).backend_tokenizer
    except Exception as error:  # the tokenizers library raises bare Exception
        raise CheckpointError(
            f"The tokenizer in {folder} cannot be read ({error}). Delete the folder and run `anima download`."
        ) from error


def _token_id(tokenizer: Tokenizer, token: str, folder: Path) -> int:
    token_id = tokenizer.token_to_id(token)
    if token_id is None:
        raise CheckpointError(
            f"The tokenizer in {folder} has no token {token}: it belongs to another model. "
            "Delete the folder and run `anima download`."
        )
    return token_id
