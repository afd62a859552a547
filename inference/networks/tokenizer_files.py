"""Opens a tokenizer: one file, `tokenizer.json`, or two as Qwen publishes them, `vocab.json` and `merges.txt`."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from inference.request import CheckpointError

QWEN_EMPTY = "<|endoftext|>"

#: How Qwen's tokenizer splits a text before it merges pairs (github.com/QwenLM/Qwen, tokenization_note.md).
QWEN_PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def open_tokenizer(folder: Path) -> Tokenizer:
    """Raises CheckpointError."""
    file = folder / "tokenizer.json"
    try:
        return Tokenizer.from_file(str(file)) if file.is_file() else _qwen_tokenizer(folder)
    except Exception as error:  # the tokenizers library raises bare Exception
        raise CheckpointError(
            f"The tokenizer in {folder} cannot be read ({error}). Delete the folder and run `anima download`."
        ) from error


def _qwen_tokenizer(folder: Path) -> Tokenizer:
    """Byte-level BPE. Its special tokens are in `tokenizer_config.json`; without that file, only QWEN_EMPTY is one."""
    tokenizer = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens([*_added_tokens(folder / "tokenizer_config.json"), AddedToken(QWEN_EMPTY, special=True)])
    return tokenizer


def _added_tokens(config: Path) -> list[AddedToken]:
    """Sorted by id, because the tokenizer numbers them in the order in which they are added."""
    if not config.is_file():
        return []
    entries = json.loads(config.read_text(encoding="utf-8")).get("added_tokens_decoder", {})
    return [AddedToken(**entries[number]) for number in sorted(entries, key=int)]
