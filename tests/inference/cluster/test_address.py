"""The address of a cluster's head, however people write it."""

from __future__ import annotations

import socket

import pytest

from inference.cluster.address import head_address, split_address
from inference.cluster.remote import own_address
from inference.process import EngineDied


@pytest.mark.parametrize(
    ("text", "address", "parts"),
    [
        ("10.0.0.1", "10.0.0.1:6379", ("10.0.0.1", 6379)),
        (" gpu-head.lan:7000 ", "gpu-head.lan:7000", ("gpu-head.lan", 7000)),
        ("localhost:1", "localhost:1", ("localhost", 1)),
        ("[fd00::1]", "[fd00::1]:6379", ("fd00::1", 6379)),
        ("[fe80::1%eth0]:7000", "[fe80::1%eth0]:7000", ("fe80::1%eth0", 7000)),
    ],
)
def test_these_are_addresses(text: str, address: str, parts: tuple[str, int]) -> None:
    assert head_address(text, 6379) == address
    assert split_address(address) == parts


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":6379",
        "host:",
        "host:0",
        "host:65536",
        "host:99999",
        "fd00::1",
        "fd00::1:6379",
        "ray://host:10001",
        "a b:1",
    ],
)
def test_these_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"it looks like 10\.0\.0\.1:6379"):
        head_address(text, 6379)


def test_an_address_needs_a_port_where_there_is_no_usual_one() -> None:
    with pytest.raises(ValueError, match="is not an address"):
        head_address("10.0.0.1")


@pytest.mark.skipif(not socket.has_ipv6, reason="this Python has no IPv6")
def test_a_head_is_reached_by_ipv6() -> None:
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    with server:
        assert own_address(f"[::1]:{server.getsockname()[1]}") == "::1"


def test_a_name_that_nobody_knows_is_explained() -> None:
    with pytest.raises(EngineDied, match=r"Nothing answers at nobody\.invalid:6379"):
        own_address("nobody.invalid:6379")
