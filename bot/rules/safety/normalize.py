# ruff: noqa: RUF001, RUF002  letters that look alike are the subject
"""Normalizes text: removes accents and invisible characters, and replaces look-alike letters.

Look-alikes are the common ones of Unicode's confusables (UTS 39), as far as they stand for a Latin letter.
"""

from __future__ import annotations

import re
import unicodedata

_LOOKALIKES = {
    "a": "аɑαɐᴀΑАꓮᎪ⍺",
    "b": "ЬɓʙВΒᏴᏏƄƅ",
    "c": "сϲƈᴄСϹᏟↃⅽ¢",
    "d": "ԁɗᴅᎠᏧꓒđÐð",
    "e": "еҽɛᴇЕΕεєЄᎬℯ℮ə",
    "f": "ƒꜰϜқẝꓝ",
    "g": "ɡɢցԌᏀǥ",
    "h": "һнʜНΗհᎻħ",
    "i": "іɩιɪıІΙӀӏᎥⅰ¡ⵏ",
    "j": "јʝϳЈᎫյȷ",
    "k": "кκᴋКΚᏦƙ",
    "l": "λʟɫᏞⅼⳑꓡłℓ",
    "m": "мᴍМΜᎷ",
    "n": "пոɴΝηŋԉ",
    "o": "оοσᴏОΟөɵօՕ০๐ооøº",
    "p": "рρᴘРΡᏢþ",
    "q": "ԛɋզ",
    "r": "гʀɾᎡᏒгꭇ",
    "s": "ѕʂꜱЅᏕᏚՏƨ",
    "t": "тτᴛТΤᎢŧ",
    "u": "υᴜսʋʉЦ",
    "v": "νѵᴠѴᏙ∨",
    "w": "ѡшᴡԝᎳωɯ",
    "x": "хχᥕХΧ×",
    "y": "уүγʏУΥҮᎩ",
    "z": "ᴢΖᏃʐƶ",
    "ae": "æÆ",
    "oe": "œŒ",
    "ss": "ß",
}
_ENCLOSED = {0x1F150: "negative circled", 0x1F170: "negative squared", 0x1F1E6: "regional indicators"}  # A to Z each
_KANA_MARKS = "\u3099\u309a"  # what makes か into が: not an accent
_INVISIBLE = re.compile(r"[\u115f\u1160\u3164\uffa0\u17b4\u17b5\u2800]")  # letters and symbols by class, but blank

_WHOLE_PHRASES = re.compile("[\ufdfa\ufdfb]")  # one Arabic sign each, 18 letters when taken apart

_TO_LATIN = {ord(character): letter for letter, characters in _LOOKALIKES.items() for character in characters}
_TO_LATIN |= {first + offset: chr(ord("a") + offset) for first in _ENCLOSED for offset in range(26)}
_DROPPED_CATEGORIES = frozenset(("Mn", "Me", "Cf", "Cc", "Cs", "Co"))
_KEPT_CONTROLS = "\n\t\r\v\f"


def fold(text: str) -> str:
    """The text in lower case, in plain letters wherever it looks so. Japanese and digits stay what they are.

    Any text can be folded, in linear time; the result is at most 8 times as long.

    >>> fold("Ｌо\\u200bｌí")
    'loli'
    """
    if text.isascii() and text.isprintable():
        return text.lower()  # the same as the rest, several times faster; most prompts are such
    decomposed = unicodedata.normalize("NFKD", _WHOLE_PHRASES.sub(" ", text))
    plain = "".join(character for character in decomposed if _is_seen(character))
    latin = _INVISIBLE.sub("", plain).translate(_TO_LATIN).casefold().translate(_TO_LATIN)
    return unicodedata.normalize("NFC", latin)


def _is_seen(character: str) -> bool:
    if character.isascii():
        return character.isprintable() or character in _KEPT_CONTROLS
    return character in _KANA_MARKS or unicodedata.category(character) not in _DROPPED_CATEGORIES
