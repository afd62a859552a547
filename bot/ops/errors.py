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
    """What is wrong with a server's certificate, for brackets before CERTIFICATE_ADVICE; None for other errors.

    error: from aiohttp or httpx2; looks for the ssl module's error among its causes.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        found = getattr(cause, "certificate_error", cause)  # an attribute of aiohttp's error
        if isinstance(found, ssl.SSLCertVerificationError):
            why = getattr(found, "verify_message", None) or found
            return f"its certificate is not trusted: {why}"
        cause = cause.__cause__ or cause.__context__
    return None


def port_fault(error: OSError) -> str:
    """Why the bot cannot listen on a port, as the end of a sentence that starts with its number."""
    if error.errno == errno.EADDRINUSE:
        return "is in use by another program"
    if error.errno == errno.EACCES:  # WinError 10013: Hyper-V and WSL2 reserve many; Linux reserves those below 1024
        return "is reserved by the system"
    return f"cannot be used ({error.strerror})"
