"""Numbers and durations as the reader's language writes them.

Times are left to Discord, which shows `<t:…>` in everybody's own language and time zone. What is typed in again, such
as a weight in a prompt or the settings in a form, is not for these: everybody types it in the same way.
"""

from __future__ import annotations

from datetime import timedelta

from babel import Locale
from babel.numbers import format_decimal
from babel.units import format_unit

from bot.text.languages import reader_language

UNITS = (("day", 86400), ("hour", 3600), ("minute", 60))


def decimal(number: float, *, digits: int = 2) -> str:
    """A number with at most so many decimals: 20.7, in Spanish 20,7."""
    pattern = f"#,##0.{'#' * digits}" if digits else "#,##0"
    return str(format_decimal(number, format=pattern, locale=_locale()))


def duration(span: timedelta) -> str:
    """In the largest unit of which it is a number with at most one decimal: 30 days, 1.5 hours, 100 seconds."""
    seconds = span.total_seconds()
    exact = ((unit, length) for unit, length in UNITS if seconds >= length and seconds * 10 % length == 0)
    unit, length = next(exact, ("second", 1))
    return str(format_unit(round(seconds / length, 1), f"duration-{unit}", format="#,##0.#", locale=_locale()))


def _locale() -> Locale:
    return reader_language().locale
