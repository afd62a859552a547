"""The commands of `anima` beside the bot itself: one module each, which adds its parser and does its work.

What is slow to import is imported where it is used, so that `anima --help` answers at once.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn, TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

WRONG_USE = 2
"""The exit code for arguments that cannot be used, as argparse has it."""


def fail(sentence: str, code: int = 1) -> NoReturn:
    """End the command with a sentence for the person who gave it."""
    print(sentence, file=sys.stderr)
    sys.exit(code)


def nearest_existing(folder: Path) -> Path:
    """`folder`, or the nearest one above it that is there."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def file_size(size: float) -> str:
    """A number of bytes as people read it."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.2f} {name}"
    return f"{size:.0f} bytes"
