"""What is said of a port that cannot be listened on."""

import errno

import pytest

from bot.ops.errors import port_fault
from bot.sandbox.fake_discord import CannotListen

#: As Windows words WinError 10013, which Python knows as EACCES.
FORBIDDEN = "An attempt was made to access a socket in a way forbidden by its access permissions"


@pytest.mark.parametrize(
    ("code", "words", "said"),
    [
        (errno.EADDRINUSE, "Address already in use", "is in use by another program"),
        (errno.EACCES, FORBIDDEN, "is reserved by the system"),
        (errno.EADDRNOTAVAIL, "Cannot assign requested address", "cannot be used (Cannot assign requested address)"),
    ],
)
def test_each_port_error_is_explained(code: int, words: str, said: str) -> None:
    assert port_fault(OSError(code, words)) == said


def test_the_sandbox_names_another_port_where_windows_has_reserved_one() -> None:
    sentence = str(CannotListen(50_000, OSError(errno.EACCES, FORBIDDEN)))
    assert sentence == "Port 50000 is reserved by the system. Choose another one: anima sandbox --port 51111"
