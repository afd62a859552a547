"""Prepares the process: certificates, output in any code page, the limit of open files, and a quick exit."""

from __future__ import annotations

import atexit
import gc
import io
import sys
from contextlib import suppress

#: The bot never needs more.
OPEN_FILES = 65_536


def prepare_process() -> None:
    """Call this before aiohttp is imported: it creates its TLS contexts then."""
    if sys.platform in ("win32", "darwin"):
        use_system_certificates()
    allow_open_files()
    # Python collects garbage at exit. With PyTorch imported that takes a third of a second, and the system frees the
    # memory anyway.
    atexit.register(gc.freeze)
    for stream in (sys.stdout, sys.stderr):
        escape_unencodable(stream)


def allow_open_files() -> None:
    """Raises the limit of open files to the most that the system allows, up to OPEN_FILES.

    The default (1,024 on Linux, 256 on a Mac) is low for the sake of programs that cannot handle more. Each engine
    needs three, and each request to Discord one; during an outage hundreds may be unanswered.
    """
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # a Mac may allow fewer than it reports
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def use_system_certificates() -> None:
    """Let Windows or macOS decide whether to trust a server.

    Python from python.org knows no certificates on a Mac until somebody runs a script that comes with it, and on
    Windows only those that other programs have needed before.
    """
    import truststore

    truststore.inject_into_ssl()


def escape_unencodable(stream: object) -> None:
    """Make a stream escape characters that its encoding lacks, as `\\u732b`: on Windows, files and pipes have cp1252.

    Keeps the encoding, because other programs there expect it. A stream is None in services without a console.
    """
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
