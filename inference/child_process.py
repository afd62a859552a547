"""Shared by all child processes: talking to them over a pipe, and explaining why one ended."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.reduction import ForkingPickler

#: Seconds that a child gets to end.
EXIT_GRACE = 5.0
#: Raised by a connection whose other end is gone, or that is closed while another thread uses it.
CONNECTION_LOST = (EOFError, OSError, TypeError)


def pipe(context: BaseContext) -> tuple[Connection, Connection]:
    """Both ends, ours and the child's. On Windows they are PipeConnections, which have the same methods."""
    return context.Pipe()  # type: ignore[return-value, unused-ignore]


def send_in_thread(connection: Connection, message: object, name: str) -> threading.Thread:
    """Send without waiting: large images do not fit into the pipe's buffer, and the child may be frozen."""
    pickled = ForkingPickler.dumps(message)

    def send() -> None:
        with suppress(*CONNECTION_LOST):  # whoever waits for the answer notices too
            connection.send_bytes(pickled)

    thread = threading.Thread(target=send, name=name, daemon=True)
    thread.start()
    return thread


def ignore_signals() -> None:
    """For children, which end when their pipe closes: Ctrl-C reaches every process of a console."""
    for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGBREAK", None)):  # SIGBREAK: on Windows
        if number is not None:
            signal.signal(number, signal.SIG_IGN)


#: Exit codes from here on are Windows' own (NTSTATUS, see [MS-ERREF] 2.3 in the documentation of Windows protocols).
FIRST_NTSTATUS = 0x80000000
#: The ones that an engine or a tagger may end with.
NTSTATUS = {
    0xC0000005: "access violation: a crash in the GPU's driver or in a library",
    0xC0000017: "not enough memory",
    0xC000001D: "illegal instruction: this CPU lacks what a library needs",
    0xC00000FD: "stack overflow",
    0xC000012D: "not enough memory: the page file is too small",
    0xC0000135: "a DLL is missing: install PyTorch and its Visual C++ runtime again",
    0xC000013A: "ended by Ctrl-C",
    0xC0000142: "a DLL could not be started, for example because a user logged off",
    0xC0000374: "heap corruption: a crash in the GPU's driver or in a library",
    0xC0000409: "a library aborted it",
}


def exit_reason(code: int | None, platform: str = sys.platform, what: str = "engine") -> str:
    """A sentence that says how the process of `what` ended, from its exit code.

    On POSIX a negative code is the number of a signal. Windows has no signals: multiprocessing reports -15 for a
    process that another program ended, and a crash has an NTSTATUS code.
    """
    if code is None:
        return f"The {what}'s process ended, and its exit code is not known."
    if platform == "win32" and code == -signal.SIGTERM:
        return f"The {what}'s process was ended by another program (TerminateProcess)."
    if code < 0:
        with suppress(ValueError):
            return f"The {what}'s process was ended by {signal.Signals(-code).name}."
        return f"The {what}'s process was ended by signal {-code}."
    if code >= FIRST_NTSTATUS:
        meaning = f" ({NTSTATUS[code]})" if code in NTSTATUS else ""
        return f"The {what}'s process ended with exit code 0x{code:08X}{meaning}."
    return f"The {what}'s process ended with exit code {code}."
