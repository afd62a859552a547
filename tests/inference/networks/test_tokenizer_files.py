"""A tokenizer in Qwen's own files is opened as transformers opens it, without transformers."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import Qwen2Tokenizer

from inference.networks.tokenizer_files import QWEN_EMPTY, open_tokenizer
from inference.request import CheckpointError
from tests.golden import FOLDER, MODELS

REAL = FOLDER.parent.parent.parent / "shared" / "tokenizers" / "qwen"
TEXTS = (
    "",
    "1girl, long hair, (smile:1.2)",
    "It's 2026: don't  we'll\n\n  THEY'RE\t\tthere \r\n",
    "ねこ 猫 café cafe\u0301 \uff21 🐈‍⬛ ﬁ",
    f"before{QWEN_EMPTY}after <|im_start|>x<|im_end|> <|nothing|>",
    "a_b-c.d/e\\f !!! ???\n!!",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The test model's vocabulary in Qwen's files, with two special tokens behind it."""
    content = json.loads((MODELS / "tokenizers" / "qwen" / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = {token: number for token, number in content["model"]["vocab"].items() if token != QWEN_EMPTY}
    vocabulary = {token: number for number, token in enumerate(vocabulary)}
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    merges = [" ".join(merge) if isinstance(merge, list) else merge for merge in content["model"]["merges"]]
    (tmp_path / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    added = {
        str(len(vocabulary) + place): {
            "content": token,
            **dict.fromkeys(("lstrip", "normalized", "rstrip", "single_word"), False),
            "special": True,
        }
        for place, token in enumerate((QWEN_EMPTY, "<|im_start|>"))
    }
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"added_tokens_decoder": added, "tokenizer_class": "Qwen2Tokenizer"})
    )
    return tmp_path


def assert_as_in_transformers(folder: Path) -> Tokenizer:
    ours = open_tokenizer(folder)
    reference = Qwen2Tokenizer.from_pretrained(folder).backend_tokenizer
    assert ours.get_vocab() == reference.get_vocab()
    for text in TEXTS:
        assert ours.encode(text, add_special_tokens=False).ids == reference.encode(text, add_special_tokens=False).ids
    return ours


def test_it_cuts_texts_as_transformers_does(folder: Path) -> None:
    tokenizer = assert_as_in_transformers(folder)
    assert len(tokenizer.encode(f"{QWEN_EMPTY}<|im_start|>").ids) == 2


def test_the_token_of_an_empty_text_is_there_without_a_configuration(folder: Path) -> None:
    (folder / "tokenizer_config.json").unlink()
    assert_as_in_transformers(folder)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real tokenizers are not in this repository")
def test_it_cuts_texts_as_transformers_does_with_the_real_vocabulary() -> None:
    assert_as_in_transformers(REAL)


@pytest.mark.parametrize("config", ["[]", '{"added_tokens_decoder": {"x": {}}}', '{"added_tokens_decoder": {"1": 2}}'])
def test_a_damaged_configuration_is_explained(folder: Path, config: str) -> None:
    (folder / "tokenizer_config.json").write_text(config)
    with pytest.raises(CheckpointError, match="cannot be read"):
        open_tokenizer(folder)
