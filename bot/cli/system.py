"""Prepares systems other than Linux before a command starts: certificates, and output in any code page."""

from __future__ import annotations

import io
import sys


def prepare_process() -> None:
    """To be called before aiohttp is imported, which makes its TLS contexts once, at its import."""
    if sys.platform in ("win32", "darwin"):
        trust_the_systems_certificates()
    for stream in (sys.stdout, sys.stderr):
        never_fail(stream)


def trust_the_systems_certificates() -> None:
    """Ask Windows or macOS whether a server is to be trusted.

    The Python of python.org knows no certificates on a Mac until somebody runs a script that it comes with, and on
    Windows only those that some other program has needed before.
    """
    import truststore

    truststore.inject_into_ssl()


def never_fail(stream: object) -> None:
    """Have a stream write `\\u732b` for what its encoding lacks, such as cp1252 or cp932 in files and pipes on Windows.

    The encoding stays, because it is what programs there expect. A stream is None in services without a console.
    """
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
