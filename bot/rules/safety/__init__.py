"""Decides which prompts may not be drawn: pure functions of the texts of a request.

Sexual content about minors is refused everywhere, and no setting changes that. Prompts for pictures that Danbooru would
rate questionable or explicit need an age-restricted channel. A server can also block its own words.

Each rule reads a text in every way in which the model could: unchanged; without weights and escapes, so that
`(lo:1.2)li` hides nothing; with the wildcards' alternatives side by side, and expanded. Accents, invisible characters,
look-alike letters, digits for letters, and blanks or dots between letters make no difference.

If wildcards have too many combinations, only some are tried. So check a prompt twice: as typed, when the job is
accepted, and as drawn, after `expand`.

The rules only look for words: in English, Japanese and Danbooru's tags, and a few in Chinese and Korean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from bot.prompting.syntax import UNSPACED_SCRIPTS
from bot.prompting.wildcards import expansions, has_wildcards
from bot.rules.safety.normalize import fold
from bot.rules.safety.terms import (
    AGE_OF_MAJORITY,
    AGES,
    JAPANESE,
    KANJI_AGES,
    SHORT_WORDS,
    SMALL_AGES,
    WITHIN_A_WORD,
    Kind,
    latin_terms,
    years,
)
from inference.prompt import parse_weights

MAX_COMBINATIONS = 32
CACHED_TEXTS = 128
_CHARACTERS_OF_COMBINATIONS = 20_000


@dataclass(frozen=True)
class TermMatch:
    """Why a request is refused: the term for a minor, and the sexual one; "" if the first alone is enough."""

    minor: str
    sexual: str = ""


def minors_sexual(*prompts: str, negative: str = "") -> TermMatch | None:
    """The terms found, if the texts together ask for sexual content about minors.

    prompts: every text that affects the picture: the prompt, artists, names of LoRA files and so on. One may name the
        minor, and another the sexual content.
    negative: the picture avoids its terms, and naming minors there is good practice. It counts in two cases only: text
        with a negative weight is drawn, and `adult` together with an explicit prompt asks for minors.

    School clothes and classrooms count as minors beside explicit terms, unless an adult is named.
    """
    terms = _Terms.of(*prompts, *_drawn_from_negative(negative))
    always = terms.first(Kind.ALWAYS)
    if always:
        return TermMatch(always)
    explicit = terms.first(Kind.EXPLICIT)
    sexual = explicit or terms.first(Kind.SUGGESTIVE)
    minor = terms.first(Kind.MINOR)
    if minor and sexual:
        return TermMatch(minor, sexual)
    school = terms.first(Kind.SCHOOL)
    if school and explicit and not terms.first(Kind.ADULT):
        return TermMatch(school, explicit)
    if explicit:
        avoided = _Terms.of(negative).first(Kind.ADULT)
        if avoided in ("adult", "grown up", "grownup", "grown woman", "grown man", "of age", "成人", "大人"):
            return TermMatch(f"not {avoided}", explicit)
    return None


def asks_for_nsfw(*prompts: str, negative: str = "") -> tuple[str, ...]:
    """The terms found that Danbooru would rate questionable or explicit.

    `sensitive`, Danbooru's rating for swimsuits and underwear, does not count. Of the negative prompt, only text with a
    negative weight counts.
    """
    return _Terms.of(*prompts, *_drawn_from_negative(negative)).all(Kind.EXPLICIT)


def blocked_words(text: str, words: Iterable[str]) -> tuple[str, ...]:
    """The server's words and phrases that occur in the text as whole words; ignores case and accents.

    In languages without blanks between words, they may also be parts of words.
    """
    readings = [fold(reading) for reading in _readings(text)]
    worded = [f" {_words_of(reading)} " for reading in readings]
    unbroken = [re.sub(r"[\W_]+", "", reading) for reading in readings]

    def has(word: str) -> bool:
        folded = fold(word)
        phrase = _words_of(folded, commas=False)
        if not phrase:
            return bool(folded.strip()) and any(folded.strip() in reading for reading in readings)
        if _UNSPACED.search(phrase):
            return any(phrase.replace(" ", "") in reading for reading in unbroken)
        return any(f" {phrase} " in reading for reading in worded)

    return tuple(word for word in dict.fromkeys(words) if has(word))


# --- Readings of a text ---


def _drawn_from_negative(negative: str) -> tuple[str, ...]:
    """Text with a negative weight in the negative prompt is drawn; at CFG below 1 all would be, see MIN_CFG_SCALE."""
    texts = (
        "".join(segment if weight < 0 else "," for segment, weight in parse_weights(prompt))
        for prompt in _combinations(negative)
    )
    return tuple(text for text in texts if text.strip(","))


def _readings(text: str) -> tuple[str, ...]:
    side_by_side = re.sub(r"[{}|]", " , ", text)
    plain = ("".join(segment for segment, _ in parse_weights(prompt)) for prompt in (text, *_combinations(text)))
    return tuple(dict.fromkeys((text, side_by_side, *plain)))


def _combinations(text: str) -> list[str]:
    if not has_wildcards(text):
        return [text]
    return expansions(text, max(2, min(MAX_COMBINATIONS, _CHARACTERS_OF_COMBINATIONS // len(text))))


_POSSESSIVE = re.compile(r"(?<=\w)['’`](?:s|t|d|m|re|ve|ll)\b")  # noqa: RUF001  girl's ex
_SYMBOLS = {"@": "a", "$": "s", "!": "i", "|": "l", "+": "t", "€": "e", "£": "l"}
_SYMBOL_IN_WORD = re.compile(r"(?<=[a-z0-9])[@$!|+€£](?=[a-z0-9])|(?<![^\s,(])[@$](?=[a-z])")
_STRETCHED = re.compile(r"([a-z])\1{2,}")
_UNSPACED = re.compile(f"[{UNSPACED_SCRIPTS}]")
_WORD = re.compile(r"[a-z]+|[^\W_a-z]+|,")
_TOKEN = re.compile(r"[^\W_]+")


def _words_of(folded: str, *, commas: bool = True) -> str:
    words = re.findall(r"[^\W_]+|,", folded)
    return " ".join(word for word in words if commas or word != ",")


# --- Terms in a reading ---


@dataclass(frozen=True)
class _Terms:
    found: dict[Kind, dict[str, None]]  # ordered sets

    @classmethod
    def of(cls, *texts: str) -> _Terms:
        found: dict[Kind, dict[str, None]] = {kind: {} for kind in Kind}
        for text in texts:
            for kind, term in _terms_of_text(text):
                found[kind][term] = None
        return cls(found)

    def first(self, kind: Kind) -> str:
        return next(iter(self.found[kind]), "")

    def all(self, kind: Kind) -> tuple[str, ...]:
        return tuple(self.found[kind])


@lru_cache(CACHED_TEXTS)
def _terms_of_text(text: str) -> tuple[tuple[Kind, str], ...]:
    """Cached, because several rules check the same text when it is accepted, drawn and posted."""
    return tuple(dict.fromkeys(found for reading in _readings(text) for found in _terms(fold(reading))))


def _terms(folded: str) -> Iterator[tuple[Kind, str]]:
    folded = _POSSESSIVE.sub("", folded)
    with_letters = _SYMBOL_IN_WORD.sub(lambda symbol: _SYMBOLS[symbol[0]], folded)
    for text in dict.fromkeys((folded, with_letters)):
        for spelled in dict.fromkeys((text, _STRETCHED.sub(r"\1", text))):
            yield from _latin(spelled)
            yield from _within_words(spelled)
    unbroken = re.sub(r"[\W_]+", "", folded)
    for kind, pattern in JAPANESE.items():
        for text in (folded, unbroken):
            yield from ((kind, found[0]) for found in pattern.finditer(text))
    yield from _ages(folded)


def _ages(folded: str) -> Iterator[tuple[Kind, str]]:
    words = " ".join(_WORD.findall(folded))
    for age in AGES.finditer(words):
        minor = years(next(group for group in age.groups() if group)) < AGE_OF_MAJORITY
        yield (Kind.MINOR if minor else Kind.ADULT), age[0]
    for pattern in (SMALL_AGES, KANJI_AGES):
        yield from ((Kind.MINOR, age[0]) for age in pattern.finditer(words))


# --- Latin terms: consecutive words are joined until they are a term ---

_SKELETON = str.maketrans("013457892l", "oieastbg2i")
_DIGITS_FOR = {"o": "0", "i": "1", "l": "1i", "e": "3", "a": "4", "s": "5", "t": "7", "b": "8", "g": "9"}
_LONG_TERM = 6
_MAX_WORDS = 16


@dataclass(frozen=True, slots=True)
class _Term:
    letters: str
    words: tuple[str, ...]
    kind: Kind


@dataclass(frozen=True, slots=True)
class _Found:
    start: int
    end: int
    term: _Term


def _index() -> tuple[dict[str, list[_Term]], frozenset[str]]:
    """Terms by skeleton, which replaces digits by the letters they look like; and all beginnings of skeletons."""
    terms: dict[str, list[_Term]] = {}
    for words, kind in latin_terms():
        for plural in ("", "s"):
            spelled = (*words[:-1], words[-1] + plural)
            letters = "".join(spelled)
            terms.setdefault(letters.translate(_SKELETON), []).append(_Term(letters, spelled, kind))
    return terms, frozenset(skeleton[:length] for skeleton in terms for length in range(1, len(skeleton) + 1))


_TERMS, _BEGINNINGS = _index()
_MAX_TERM_LENGTH = max(map(len, _TERMS))
_MIN_HALF_LENGTH = 3


def _latin(text: str) -> Iterator[tuple[Kind, str]]:
    found = list(_put_together(text))
    harmless = [match for match in found if match.term.kind is Kind.HARMLESS]
    covered = {
        (word, word_end)
        for phrase in harmless
        for word in range(phrase.start, phrase.end)
        for word_end in range(word + 1, phrase.end + 1)
    }
    for match in found:
        if match.term.kind is not Kind.HARMLESS and (match.start, match.end) not in covered:
            yield match.term.kind, " ".join(match.term.words)


def _within_words(text: str) -> Iterator[tuple[Kind, str]]:
    """Terms inside longer words, such as `cuteloli`, and two terms written as one, such as `nudechild`."""
    for word in _TOKEN.findall(text):
        for found in WITHIN_A_WORD.finditer(word):
            yield Kind.ALWAYS, found[0]
        if len(word) > 2 * _MAX_TERM_LENGTH:
            continue
        for cut in range(_MIN_HALF_LENGTH, len(word) - _MIN_HALF_LENGTH + 1):
            halves = _terms_of_word(word[:cut]), _terms_of_word(word[cut:])
            if all(halves):
                yield from ((term.kind, " ".join(term.words)) for half in halves for term in half)


def _terms_of_word(word: str) -> list[_Term]:
    return [term for term in _TERMS.get(word.translate(_SKELETON), ()) if _looks_like(term.letters, word)]


def _put_together(text: str) -> Iterator[_Found]:
    tokens = list(_TOKEN.finditer(text))
    skeletons = [token[0].translate(_SKELETON) for token in tokens]
    for start in range(len(tokens)):
        skeleton = ""
        for end in range(start, min(start + _MAX_WORDS, len(tokens))):
            skeleton += skeletons[end]
            if skeleton not in _BEGINNINGS:
                break
            for term in _TERMS.get(skeleton, ()):
                if _is_written(term, text, tokens[start : end + 1]):
                    yield _Found(start, end + 1, term)


def _is_written(term: _Term, text: str, tokens: list[re.Match[str]]) -> bool:
    """Whether the words are the term, maybe with blanks inside, and not other words: `shot a`, `hand up, skirt`."""
    words = [token[0] for token in tokens]
    if not _looks_like(term.letters, "".join(words)):
        return False
    if len(words) == 1:
        return True
    gaps = [text[left.end() : right.start()] for left, right in pairwise(tokens)]
    if tuple(map(len, words)) == tuple(map(len, term.words)):
        return not any("," in gap for gap in gaps)
    if not any("," in gap or any(character.isspace() for character in gap) for gap in gaps):
        return True
    if term.kind is Kind.HARMLESS:
        return False
    if len(term.letters) >= _LONG_TERM and not any("," in gap for gap in gaps):
        return True
    return any(len(word) <= 2 and word not in SHORT_WORDS for word in words)


def _looks_like(letters: str, written: str) -> bool:
    if letters == written:
        return True
    if sum(character.isalpha() for character in written) < min(2, len(letters)):
        return False
    pairs = list(zip(letters, written, strict=True))
    if len(letters) < 4 and any(meant != seen and seen.isalpha() for meant, seen in pairs):
        return False  # `i` may be a capital I that looks like `l`, but too many short words would match
    return all(meant == seen or seen in _DIGITS_FOR.get(meant, "") for meant, seen in pairs)
