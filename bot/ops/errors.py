"""`StartupError`, and explanations of certificate and port errors."""

from __future__ import annotations

import errno
import ssl

#: What to do about a `certificate_fault`. A sentence without its full stop.
CERTIFICATE_ADVICE = (
    "Set this machine's clock, install the system's updates, and if a proxy or an antivirus program reads encrypted "
    "connections, add its certificate to the system's"
)


class StartupError(Exception):
    """The message is one sentence for the operator: what is wrong, and what to do."""


def certificate_fault(error: BaseException) -> str | None:
    """What is wrong with a server's certificate, to go in brackets before CERTIFICATE_ADVICE; None for another error.

    error: aiohttp's or httpx2's; what Python's ssl module says is among its causes.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        found = getattr(cause, "certificate_error", cause)  # aiohttp's own error holds it
        if isinstance(found, ssl.SSLCertVerificationError):
            why = getattr(found, "verify_message", None) or found
            return f"its certificate is not trusted: {why}"
        cause = cause.__cause__ or cause.__context__
    return None


def port_fault(error: OSError) -> str:
    """Why a port cannot be listened on, as the end of a sentence that starts with its number."""
    if error.errno == errno.EADDRINUSE:
        return "is in use by another program"
    if error.errno == errno.EACCES:  # WinError 10013: Hyper-V and WSL2 reserve many; on Linux those below 1024 are
        return "is reserved by the system"
    return f"cannot be used ({error.strerror})"
