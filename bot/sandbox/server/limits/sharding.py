"""How many connections a bot has to use, and how often it may start a session.

Source: "Gateway" in Discord's API reference, sections "Sharding" and "Session Start Limit Object".
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from bot.sandbox.model.clock import Clock
from bot.sandbox.model.errors import JSON

DAY = 86_400.0


@dataclass(frozen=True)
class Sharding:
    """Discord's requirements for the bot's connections.

    shards: the recommended number. max_concurrency: how many shards may identify at once, one for each remainder of
    `shard_id % max_concurrency`. servers_per_shard: the most that one connection may have without more shards.
    sessions: IDENTIFYs allowed in 24 hours. identify_interval: seconds between two IDENTIFYs of one remainder. Discord
    requires 5; the default of 0 is for tests that restart the bot more often.
    """

    shards: int = 1
    max_concurrency: int = 1
    servers_per_shard: int = 2_500
    sessions: int = 1_000
    identify_interval: float = 0.0


#: Discord's real requirements for a bot in few servers.
STRICT = Sharding(identify_interval=5.0)


def shard_of(guild_id: int | None, shards: int) -> int:
    """The shard that gets the events of a server; those of private messages (None) go to shard 0."""
    return 0 if guild_id is None else (guild_id >> 22) % shards


class IdentifyLimiter:
    """Counts IDENTIFYs by the stand-in's clock."""

    def __init__(self, sharding: Sharding, clock: Clock) -> None:
        self._sharding = sharding
        self._clock = clock
        self._last: dict[int, float] = {}  # the latest IDENTIFY of each remainder
        self._begun: deque[float] = deque()
        #: How many IDENTIFYs came too early.
        self.refused = 0

    @property
    def remaining(self) -> int:
        """How many sessions may still start. If none is left, Discord resets the bot's token at the next IDENTIFY."""
        while self._begun and self._begun[0] <= self._clock.now() - DAY:
            self._begun.popleft()
        return max(0, self._sharding.sessions - len(self._begun))

    def is_too_early(self, shard_id: int) -> bool:
        """Whether a shard with the same remainder identified too recently. If not, counts this IDENTIFY."""
        now, remainder = self._clock.now(), shard_id % self._sharding.max_concurrency
        if now - self._last.get(remainder, -DAY) < self._sharding.identify_interval:
            self.refused += 1
            return True
        self._last[remainder] = now
        self._begun.append(now)
        return False

    def as_json(self) -> JSON:
        """The session start limit as `/gateway/bot` returns it."""
        remaining = self.remaining
        resets = self._begun[0] + DAY - self._clock.now() if self._begun else 0.0
        return {
            "total": self._sharding.sessions,
            "remaining": remaining,
            "reset_after": round(resets * 1000),
            "max_concurrency": self._sharding.max_concurrency,
        }
