"""Stage two: makes two small tokenizers to replace Qwen's and T5's, with the special tokens that Anima relies on."""

import math
import random
import string
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from inference.miniature.captions import INDIFFERENT, NEGATIVE, POSITIVE, caption
from inference.miniature.data import DEGRADATIONS, load_images

QWEN_VOCABULARY = 896
LETTERS = string.ascii_lowercase + string.digits + string.punctuation


def make_tokenizers(workdir: Path) -> None:
    """Writes `tokenizers/qwen/tokenizer.json` and `tokenizers/t5/tokenizer.json` to the work folder."""
    rng = random.Random(0)
    captions = [caption(record, rng) for bucket in load_images(workdir, "train") for record in bucket.records]
    captions += [word for word in (*POSITIVE, *NEGATIVE, *INDIFFERENT, *DEGRADATIONS) for _ in range(40)]
    folder = workdir / "tokenizers"
    for name, tokenizer in (("qwen", qwen_tokenizer(captions)), ("t5", t5_tokenizer(captions))):
        (folder / name).mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(folder / name / "tokenizer.json"))


def qwen_tokenizer(captions: Iterable[str]) -> Tokenizer:
    """Byte-level BPE. Token 0 is `<|endoftext|>`, which represents an empty prompt."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=QWEN_VOCABULARY,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator([*captions, *_made_up_words()], trainer)
    return tokenizer


def t5_tokenizer(captions: Iterable[str]) -> Tokenizer:
    """Unigram over whole words, with letters and syllables for words it does not know. `</s>` is id 1, as in T5.

    The vocabulary comes from counting words, because training a Unigram on captions would merge and split tags.
    """
    words = Counter(word for text in captions for word in text.lower().replace(",", " , ").split() if word[0] != "(")
    total = words.total()
    scores = {"<pad>": 0.0, "</s>": 0.0, "<unk>": 0.0}
    for word, count in words.most_common():
        if count >= 5 and any(letter.isalnum() for letter in word) and word[-1] != ")":
            scores.setdefault("▁" + word.rstrip("."), math.log(count / total))
    scores |= {piece: -9.0 for piece in (",", ".", "▁", *LETTERS) if piece not in scores}
    syllables = (a + b for a in string.ascii_lowercase for b in "aeiouy")
    scores |= {piece: -12.0 for piece in syllables if piece not in scores}
    tokenizer = Tokenizer(models.Unigram(list(scores.items()), unk_id=2))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return tokenizer


def _made_up_words() -> list[str]:
    """Random words, so that the BPE also has pieces for text unlike any caption."""
    rng = random.Random(1)
    return ["".join(rng.choices("etaoinshrdlucmfwypvbgkjqxz", k=rng.randint(2, 8))) for _ in range(2000)]
