"""Parses numbers as users type them: with full-width digits, a decimal comma, or spaces around."""

from __future__ import annotations

import re
import unicodedata

_WHOLE = re.compile(r"\+?\d{1,30}", re.ASCII)
_NUMBER = re.compile(r"[-+]?(?:\d{1,30}(?:[.,]\d{0,30})?|[.,]\d{1,30})(?:e[-+]?\d{1,3})?", re.ASCII | re.IGNORECASE)
_MINUS = str.maketrans("−–—", "---")  # noqa: RUF001  what keyboards and word processors make of a minus


def half_width(text: str) -> str:
    """Converts full-width characters of East Asian keyboards to ordinary ones."""
    return unicodedata.normalize("NFKC", text)


def whole_number(text: str) -> int | None:
    """Parses a whole number without a sign; None for anything else."""
    digits = half_width(text).strip()
    return int(digits) if _WHOLE.fullmatch(digits) else None


def number(text: str) -> float | None:
    """Parses a finite number; None for anything else."""
    written = half_width(text).strip().translate(_MINUS)
    if not _NUMBER.fullmatch(written):
        return None
    read = float(written.replace(",", "."))
    return read if abs(read) < float("inf") else None
