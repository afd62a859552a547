"""Prepares the process: certificates, output in any code page, how many files may be open, and how it ends."""

from __future__ import annotations

import atexit
import gc
import io
import sys
from contextlib import suppress

#: More are of no use.
OPEN_FILES = 65_536


def prepare_process() -> None:
    """To be called before aiohttp is imported, which makes its TLS contexts once, at its import."""
    if sys.platform in ("win32", "darwin"):
        use_system_certificates()
    allow_open_files()
    # Python collects garbage once more as it exits. With PyTorch imported that takes a third of a second, and the
    # system frees the memory anyway.
    atexit.register(gc.freeze)
    for stream in (sys.stdout, sys.stderr):
        escape_unencodable(stream)


def allow_open_files() -> None:
    """As many as the system lets this process have.

    What it gives unasked (1,024 on Linux, 256 on a Mac) is for programs that cannot handle more. Each engine takes
    three, and each request to Discord one, of which an outage may leave hundreds unanswered.
    """
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # a Mac may allow fewer than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def use_system_certificates() -> None:
    """Ask Windows or macOS whether a server is to be trusted.

    The Python of python.org knows no certificates on a Mac until somebody runs a script that it comes with, and on
    Windows only those that some other program has needed before.
    """
    import truststore

    truststore.inject_into_ssl()


def escape_unencodable(stream: object) -> None:
    """Have a stream write `\\u732b` for what its encoding lacks, such as cp1252 or cp932 in files and pipes on Windows.

    The encoding stays, because it is what programs there expect. A stream is None in services without a console.
    """
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
