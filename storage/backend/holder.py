"""Names the process that holds the claim, so that another one on the same machine can see that it has ended."""

import os
import socket
from pathlib import Path
from secrets import token_hex

PROC = Path("/proc")


def this_process() -> str:
    """Unique, also among several holders in one process: "HOST PID STARTED BOOT NAMESPACE TOKEN".

    Parts that cannot be determined are "-".
    """
    pid = os.getpid()
    host = socket.gethostname().replace(" ", "-")[:64] or "-"
    return " ".join((host, str(pid), _started(pid) or "-", _boot(), _namespace(), token_hex(8)))


def has_ended(holder: str) -> bool:
    """Whether a holder's process is known to have ended.

    False if that cannot be known: it ran on another machine, in another container, or before Linux's /proc existed.
    """
    try:
        _, pid, started, boot, namespace, _ = holder.split()
        is_seen_from_here = "-" not in (started, boot, namespace) and (boot, namespace) == (_boot(), _namespace())
        return is_seen_from_here and _started(int(pid)) != started
    except ValueError:
        return False


def describe(holder: str) -> str:
    """Describes a holder for the log."""
    host, pid, *_ = [*holder.split(), "-", "-"]
    return f"process {pid} on {host}"


def _started(pid: int) -> str | None:
    """When a process started, in clock ticks after the boot. None: it is not running."""
    try:
        state, *fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else fields[18]


def _boot() -> str:
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "-"


def _namespace() -> str:
    """The namespace of process ids: in another container, the same id means another process."""
    try:
        return os.readlink(PROC / "self/ns/pid")
    except OSError:
        return "-"
