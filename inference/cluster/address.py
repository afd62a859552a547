"""Addresses of a cluster's head, as Ray writes them: `host:port`, and `[IP]:port` with an IPv6 address."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[^\s:/\[\]@]+)(?::(?P<port>\d{1,5}))?")


def head_address(text: str, port: int | None = None) -> str:
    """The address as `host:port`. port: used if `text` has none. Raises ValueError with a sentence for users."""
    found = _ADDRESS.fullmatch(text.strip())
    number = int(found["port"] or port or 0) if found is not None else 0
    if found is None or not 0 < number <= 65535:
        raise ValueError(f"{text!r} is not an address; it looks like 10.0.0.1:6379, or with IPv6 like [fd00::1]:6379")
    return f"{found['host']}:{number}"


def split_address(address: str) -> tuple[str, int]:
    """Split `host:port` into the host, without brackets, and the port. Raises ValueError as `head_address`."""
    host, _, port = head_address(address).rpartition(":")
    return host.strip("[]"), int(port)
