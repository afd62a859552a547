"""Faults that tests inject: errors, rate limits, slow answers, lost connections."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

#: Whether the fault occurs before the request takes effect, or after it (only the answer is lost).
When = Literal["before", "after"]


@dataclass
class Fault:
    """What happens to the next `times` requests whose method is `method` and whose route or path matches `route`."""

    method: str
    route: re.Pattern[str]
    times: int
    when: When
    #: The HTTP status to answer; None cuts the connection, unless the fault only delays.
    status: int | None = None
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    released: asyncio.Event | None = None
    only_delays: bool = False
    #: Applies only to requests that upload a file whose name matches.
    file: re.Pattern[str] | None = None
    hits: int = 0

    def matches(self, method: str, route: str, path: str, files: Collection[str]) -> bool:
        if self.method != method or not (self.route.search(route) or self.route.search(path)):
            return False
        return self.file is None or any(map(self.file.search, files))

    def release(self) -> None:
        """Continues the requests that this fault holds."""
        if self.released is not None:
            self.released.set()

    def cut(self) -> None:
        """Cuts the connections of the requests that this fault holds. Those held "before" then have no effect."""
        self.only_delays = False
        self.release()


class Faults:
    """The pending faults. A request gets the first one that matches, in the order of injection."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self._holds: list[Fault] = []

    def answer(
        self,
        method: str,
        route: str,
        status: int,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        times: int = 1,
        when: When = "before",
    ) -> Fault:
        """Answers `status` with `body` (JSON, or text such as the HTML of an outage) instead of the real answer."""
        body = body if body is not None else {"message": f"{status}: a fault injected by a test", "code": 0}
        return self._add(Fault(method, re.compile(route), times, when, status, body, headers or {}))

    def rate_limit(
        self,
        method: str,
        route: str,
        retry_after: float,
        *,
        times: int = 1,
        is_global: bool = False,
        via: bool = True,
        scope: Literal["user", "shared"] = "user",
    ) -> Fault:
        """Answers 429; without `via` it looks like Cloudflare's ban, which discord.py does not retry.

        scope: "shared" if others used up the limit of the channel or server; it is not counted as an invalid request.
        """
        headers = {"Retry-After": str(int(retry_after + 1)), "X-RateLimit-Scope": "global" if is_global else scope}
        if via:
            headers["Via"] = "1.1 google"
        body = {"message": "You are being rate limited.", "retry_after": retry_after, "global": is_global, "code": 0}
        return self.answer(method, route, 429, body, headers=headers, times=times)

    def drop(self, method: str, route: str, *, when: When, times: int = 1) -> Fault:
        """Cuts the connection: "before" ignores the request, "after" processes it and loses the answer."""
        return self._add(Fault(method, re.compile(route), times, when))

    def delay(self, method: str, route: str, seconds: float, *, times: int = 1, when: When = "before") -> Fault:
        """Delays the request for `seconds` of real time."""
        return self._add(Fault(method, re.compile(route), times, when, delay=seconds, only_delays=True))

    def hold(self, method: str, route: str, *, times: int = 1, when: When = "before", file: str | None = None) -> Fault:
        """Holds the request until `release()` or `cut()` of the returned fault is called.

        file: holds only requests that upload a file whose name matches this regular expression.
        """
        fault = Fault(method, re.compile(route), times, when, released=asyncio.Event(), only_delays=True)
        fault.file = re.compile(file) if file is not None else None
        self._holds.append(fault)
        return self._add(fault)

    def clear(self) -> None:
        """Removes the pending faults and releases the held requests."""
        self._waiting.clear()
        for fault in self._holds:
            fault.release()
        self._holds.clear()

    def _add(self, fault: Fault) -> Fault:
        self._waiting.append(fault)
        return fault

    def match(self, method: str, route: str, path: str, files: Collection[str] = ()) -> Fault | None:
        """The fault for this request, or None. Counts the hit."""
        for fault in self._waiting:
            if fault.matches(method, route, path, files):
                fault.hits += 1
                if fault.hits >= fault.times:
                    self._waiting.remove(fault)
                return fault
        return None
