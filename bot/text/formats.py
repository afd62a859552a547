"""Numbers and durations in the format of the reader's language.

Discord itself formats times: it shows `<t:…>` in each reader's language and time zone. Do not use these functions for
text that users type again, such as a weight in a prompt or the settings in a form: its format is the same for all.
"""

from __future__ import annotations

from datetime import timedelta

from babel import Locale
from babel.numbers import format_decimal
from babel.units import format_unit

from bot.text.languages import reader_language

UNITS = (("day", 86400), ("hour", 3600), ("minute", 60))


def decimal(number: float, *, digits: int = 2) -> str:
    """A number with at most `digits` decimals: 20.7, in Spanish 20,7."""
    pattern = f"#,##0.{'#' * digits}" if digits else "#,##0"
    return str(format_decimal(number, format=pattern, locale=_locale()))


def duration(span: timedelta) -> str:
    """In the largest unit that needs at most one decimal: 30 days, 1.5 hours, 100 seconds."""
    seconds = span.total_seconds()
    exact = ((unit, length) for unit, length in UNITS if seconds >= length and seconds * 10 % length == 0)
    unit, length = next(exact, ("second", 1))
    return str(format_unit(round(seconds / length, 1), f"duration-{unit}", format="#,##0.#", locale=_locale()))


def _locale() -> Locale:
    return reader_language().locale
