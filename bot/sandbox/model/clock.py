"""The stand-in's clock, which tests can change, and snowflakes made from it."""

import asyncio
import time
from datetime import UTC, datetime

#: The first second of 2015 (UTC) in seconds since 1970: snowflakes count from here.
DISCORD_EPOCH = 1_420_070_400.0


class Clock:
    """Seconds since 1970 (UTC). Follows real time unless it is frozen.

    `turn` moves it forward and wakes the callers of `sleep_until` whose moment has passed. It changes the time of the
    stand-in only: a bot in its own process has its own clock.
    """

    def __init__(self, frozen_at: float | None = None, *, ahead: float = 0.0) -> None:
        """`ahead`: seconds ahead of this machine's clock; negative if behind."""
        self._frozen_at = frozen_at
        self._started_at = time.time() - time.monotonic()
        self._turned = ahead
        self._sleepers: set[asyncio.Event] = set()

    def now(self) -> float:
        base = self._frozen_at if self._frozen_at is not None else self._started_at + time.monotonic()
        return base + self._turned

    def utc(self) -> datetime:
        return datetime.fromtimestamp(self.now(), UTC)

    def turn(self, seconds: float) -> None:
        """Moves the clock forward by `seconds`; raises ValueError for a step back."""
        if seconds < 0:
            raise ValueError(f"A clock of Discord only turns forward, not by {seconds} seconds.")
        self._turned += seconds
        for sleeper in self._sleepers:
            sleeper.set()

    async def sleep_until(self, moment: float) -> None:
        """Returns once this clock shows `moment` or later, whether time passed or the clock was turned."""
        turned = asyncio.Event()
        self._sleepers.add(turned)
        try:
            while (remaining := moment - self.now()) > 0:
                turned.clear()
                real_wait = None if self._frozen_at is not None else remaining
                try:
                    await asyncio.wait_for(turned.wait(), real_wait)
                except TimeoutError:
                    continue
        finally:
            self._sleepers.discard(turned)


class Snowflakes:
    """Unique, increasing ids that contain their creation time: 42 bits of milliseconds, 10 of worker, 12 of count.

    Source: "Snowflakes" in Discord's API reference.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0

    def next(self) -> int:
        self._last = max(snowflake_at(self._clock.now()), self._last + 1)
        return self._last


def snowflake_at(moment: float) -> int:
    """The smallest snowflake of `moment` (seconds since 1970, UTC)."""
    return round((moment - DISCORD_EPOCH) * 1000) << 22


def moment_of(snowflake: int) -> float:
    """The moment (seconds since 1970, UTC) that a snowflake encodes."""
    return (snowflake >> 22) / 1000 + DISCORD_EPOCH
