"""The miniature's small tokenizers."""

import random
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from inference.miniature.captions import INDIFFERENT, NEGATIVE, POSITIVE, caption
from inference.miniature.characters import random_character
from inference.miniature.data import Record
from inference.miniature.tokenizers import qwen_tokenizer, t5_tokenizer
from inference.networks.text_encoder import PromptTokenizer


@pytest.fixture(scope="module")
def captions() -> list[str]:
    rng = random.Random(0)
    captions = [caption(Record(random_character(rng, held_out=False)), rng) for _ in range(4000)]
    return captions + [word for word in (*INDIFFERENT, *NEGATIVE, *POSITIVE) for _ in range(20)]


@pytest.fixture(scope="module")
def qwen(captions: list[str]) -> Tokenizer:
    return qwen_tokenizer(captions)


@pytest.fixture(scope="module")
def t5(captions: list[str]) -> Tokenizer:
    return t5_tokenizer(captions)


TEXTS = [
    "masterpiece, best quality, @micah, 1girl, red hair, closed eyes",
    "a drawing of a man with short blue hair. the person has glasses",
    "a zebra in the rain, score_7",
    "",
]


@pytest.mark.parametrize("text", TEXTS)
def test_encoded_texts_can_be_decoded(qwen: Tokenizer, t5: Tokenizer, text: str) -> None:
    assert qwen.decode(qwen.encode(text).ids) == text
    assert t5.decode(t5.encode(text, add_special_tokens=False).ids) == text


def test_case_does_not_matter(qwen: Tokenizer, t5: Tokenizer) -> None:
    for tokenizer in (qwen, t5):
        assert tokenizer.encode("Red Hair, @Micah").ids == tokenizer.encode("red hair, @micah").ids


def test_tags_are_few_whole_words_to_t5(t5: Tokenizer) -> None:
    assert t5.encode("@toon-head, open mouth, purple hair").tokens == [
        *("▁@toon-head", ",", "▁open", "▁mouth", ",", "▁purple", "▁hair", "</s>")
    ]


def test_the_engine_s_tokenizer_finds_the_special_tokens(tmp_path: Path, qwen: Tokenizer, t5: Tokenizer) -> None:
    for name, tokenizer in (("qwen", qwen), ("t5", t5)):
        (tmp_path / name).mkdir()
        tokenizer.save(str(tmp_path / name / "tokenizer.json"))
    empty = PromptTokenizer(tmp_path / "qwen", tmp_path / "t5")("")
    assert empty.qwen_ids == (0,)
    assert empty.t5_ids == (1,)
