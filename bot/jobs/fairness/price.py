"""The price of a turn: higher for users with much recent use, up to twice as high.

Credits and prices are whole millionths, so that their sums are exact in any order.
"""

from __future__ import annotations

from math import isqrt

#: Credits of recent use from which each further credit counts twice.
DOUBLE_PRICE_AT = 32.0
MICRO = 1_000_000


def micro(credit: float) -> int:
    """Convert credits to millionths; at least 1."""
    return max(1, round(credit * MICRO))


_TOP = micro(DOUBLE_PRICE_AT)


def price(usage: int) -> int:
    """The total price of the first `usage` credits: the integral of a price that rises from 1 to 2, then stays."""
    if usage < _TOP:
        return usage + usage * usage // (2 * _TOP)
    return 2 * usage - _TOP // 2


_SLOPE_ENDS_AT = price(_TOP)


def credits_for(paid: int, usage: int) -> int:
    """The fewest credits after `usage` whose total price is `paid` or more: the exact inverse of `price`."""
    if usage >= _TOP:
        return (paid + 1) // 2
    paid += price(usage)
    if paid < _SLOPE_ENDS_AT:
        return isqrt(_TOP * (_TOP + 2 * paid) - 1) + 1 - _TOP - usage
    return (paid + _TOP // 2 + 1) // 2 - usage
