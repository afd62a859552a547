"""Counts the bot's requests, adds the rate limit headers, and refuses excess requests."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import md5

from bot.sandbox.model.clock import Clock, moment_of
from bot.sandbox.model.errors import JSON
from bot.sandbox.server.limits.rate_limits import EXEMPT, Limit, RateLimits, top_level

#: A header of every answer by Discord itself. Without it, discord.py takes a 429 for Cloudflare's and does not retry.
VIA = {"Via": "1.1 google"}

#: How many windows are kept before expired ones are removed.
MAX_WINDOWS = 1000


@dataclass(frozen=True)
class RateLimitVerdict:
    """The body of the refusal (None: the request is allowed), and the rate limit headers of the answer."""

    headers: Mapping[str, str] = field(default_factory=dict)
    refused: JSON | None = None


@dataclass
class _Window:
    """The requests counted in one period."""

    limit: Limit
    ends: float
    used: int = 0

    @property
    def remaining(self) -> int:
        return max(0, self.limit.count - self.used)


class RateLimiter:
    """Counts by the stand-in's clock. Refused requests count only as invalid requests."""

    def __init__(self, limits: RateLimits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._windows: dict[tuple[str, ...], _Window] = {}
        self._invalid: deque[float] = deque()
        self._banned_until = 0.0

    def banned(self) -> int:
        """Seconds until Cloudflare's block ends; 0 if there is none."""
        return max(0, math.ceil(self._banned_until - self._clock.now()))

    def take(self, method: str, template: str, ids: Mapping[str, str]) -> RateLimitVerdict:
        """Counts or refuses a request of the route `template` with these `ids` in its path."""
        is_exempt = template.startswith(EXEMPT)
        bot = self._window(("bot",), self._limits.whole_bot)
        if not is_exempt and not bot.remaining:
            return self._refused(bot, "global", {"X-RateLimit-Global": "true"})
        if template.startswith("/interactions/"):  # first answers to interactions have no limit
            return RateLimitVerdict(VIA)
        age = self._clock.now() - moment_of(int(ids["message_id"])) if "message_id" in ids else 0.0
        bucket = self._limits.bucket(method, template, age)
        window = self._window((bucket.name, *top_level(ids.items())), bucket.limit)
        headers = self._headers(window, bucket.name)
        if not window.remaining:
            return self._refused(window, "user", headers)
        if (old := self._old_edits(method, template, ids, age)) is not None:
            if not old.remaining:
                code, message = self._limits.old_edits.refusal[1:]
                return self._refused(old, "user", headers, code=code, message=message)
            old.used += 1
        window.used += 1
        bot.used += not is_exempt
        return RateLimitVerdict(self._headers(window, bucket.name))

    def note_answer(self, status: int, headers: Mapping[str, str]) -> None:
        """Counts the answer if it is an invalid request. After too many of them, Cloudflare blocks the address."""
        if status not in (401, 403, 429) or headers.get("X-RateLimit-Scope") == "shared":
            return
        now, allowed = self._clock.now(), self._limits.invalid_requests
        self._invalid.append(now)
        while self._invalid[0] <= now - allowed.seconds:
            self._invalid.popleft()
        if len(self._invalid) >= allowed.count:
            self._banned_until = now + self._limits.ban

    def _old_edits(self, method: str, template: str, ids: Mapping[str, str], age: float) -> _Window | None:
        by_channel = method == "PATCH" and template.startswith("/channels/{channel_id}/messages/")
        if not by_channel or age < self._limits.old_edits.min_age:
            return None
        return self._window(("old edits", ids["channel_id"]), self._limits.old_edits.limit)

    def _window(self, key: tuple[str, ...], limit: Limit) -> _Window:
        now = self._clock.now()
        window = self._windows.get(key)
        if window is None or now >= window.ends:
            if len(self._windows) > MAX_WINDOWS:
                self._windows = {key: window for key, window in self._windows.items() if now < window.ends}
            window = self._windows[key] = _Window(limit, now + limit.seconds)
        return window

    def _headers(self, window: _Window, bucket: str) -> dict[str, str]:
        return VIA | {
            "X-RateLimit-Limit": str(window.limit.count),
            "X-RateLimit-Remaining": str(window.remaining),
            "X-RateLimit-Reset": f"{window.ends:.3f}",
            "X-RateLimit-Reset-After": f"{window.ends - self._clock.now():.3f}",
            "X-RateLimit-Bucket": md5(bucket.encode(), usedforsecurity=False).hexdigest(),
        }

    def _refused(
        self,
        window: _Window,
        scope: str,
        headers: Mapping[str, str],
        code: int = 0,
        message: str = "You are being rate limited.",
    ) -> RateLimitVerdict:
        wait = window.ends - self._clock.now()
        body = {"message": message, "retry_after": round(wait, 3), "global": scope == "global", "code": code}
        retry = {"Retry-After": str(math.ceil(wait)), "X-RateLimit-Scope": scope}
        return RateLimitVerdict(VIA | dict(headers) | retry, body)
