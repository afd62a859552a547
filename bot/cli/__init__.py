"""The `anima` commands other than running the bot: one module for each, with its parser and its code.

Slow imports are inside functions, so that `anima --help` is quick.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn, TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

#: The exit code for unusable arguments, the same as argparse's.
USAGE_ERROR = 2


@dataclass(frozen=True)
class CheckResult:
    """A line of `anima doctor`."""

    mark: Literal["ok", "warning", "problem"]
    text: str


def ok(text: str) -> CheckResult:
    return CheckResult("ok", text)


def warning(text: str) -> CheckResult:
    return CheckResult("warning", text)


def problem(text: str) -> CheckResult:
    return CheckResult("problem", text)


def fail(sentence: str, code: int = 1) -> NoReturn:
    """End the command with a sentence on stderr."""
    print(sentence, file=sys.stderr)
    sys.exit(code)


def nearest_existing(folder: Path) -> Path:
    """`folder`, or its nearest parent that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def file_size(size: float) -> str:
    """A human-readable number of bytes, such as 1.50 GB."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.2f} {name}"
    return f"{size:.0f} bytes"
