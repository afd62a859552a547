"""What a turn costs: more for users with much recent use, up to twice as much.

Credits and prices are in whole millionths, so that their sums are exact in any order.
"""

from __future__ import annotations

from math import isqrt

#: Credits of recent use from which on a credit counts twice.
DOUBLE_PRICE_AT = 32.0
MICRO = 1_000_000


def micro(credit: float) -> int:
    """Credits in millionths; at least one."""
    return max(1, round(credit * MICRO))


_TOP = micro(DOUBLE_PRICE_AT)


def price(usage: int) -> int:
    """What the first `usage` credits cost together: the integral of a price that rises from 1 to 2, then stays."""
    if usage < _TOP:
        return usage + usage * usage // (2 * _TOP)
    return 2 * usage - _TOP // 2


_SLOPE_ENDS_AT = price(_TOP)


def credits_for(paid: int, usage: int) -> int:
    """The least credits that cost `paid` or more together, after `usage`: the exact inverse of `price`."""
    if usage >= _TOP:
        return (paid + 1) // 2
    paid += price(usage)
    if paid < _SLOPE_ENDS_AT:
        return isqrt(_TOP * (_TOP + 2 * paid) - 1) + 1 - _TOP - usage
    return (paid + _TOP // 2 + 1) // 2 - usage
