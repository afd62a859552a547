"""A log of every request the bot made, for assertions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RequestRecord:
    """One request and its answer. `status` 0 means that the connection was cut instead of answering.

    `route` is the template (`/channels/{channel_id}/messages`), `path` the requested path, both without `/api/v10`.
    `files` are names and sizes in bytes; `at` is the stand-in's clock; `seconds` is real time.
    """

    number: int
    at: float
    method: str
    route: str
    path: str
    query: dict[str, str]
    body: Any
    files: tuple[tuple[str, int], ...]
    status: int
    answer: Any
    seconds: float

    def __str__(self) -> str:
        without_token = re.sub(r"/[^/]{60,}", "/…", self.path)
        return f"#{self.number} {self.method} {without_token} -> {self.status or 'connection cut'}"


class RequestLog:
    """Every request, in the order of the answers."""

    def __init__(self) -> None:
        self.requests: list[RequestRecord] = []

    def add(self, request: RequestRecord) -> None:
        self.requests.append(request)

    def find(self, method: str | None = None, route: str = "", status: int | None = None) -> list[RequestRecord]:
        """The requests of this method whose route template or path matches the regular expression `route`."""
        pattern = re.compile(route)
        return [
            request
            for request in self.requests
            if (method is None or request.method == method)
            and (pattern.search(request.route) or pattern.search(request.path))
            and (status is None or request.status == status)
        ]

    def refused(self) -> list[RequestRecord]:
        """The requests that were answered with status 400 or above, or not at all."""
        return [request for request in self.requests if request.status >= 400 or request.status == 0]
