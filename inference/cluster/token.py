"""The cluster's token: anyone who has it can run programs on every machine of the cluster."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

MIN_LENGTH = 32


class TokenError(ValueError):
    """The token's file is missing or cannot be trusted; the message says what to do."""


def default_token_file() -> Path:
    folder = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(folder) / "anima" / "cluster-token"


def check_token(path: Path) -> None:
    """Raises TokenError if there is no token in `path`, or if other users can read it."""
    try:
        text, mode = path.read_text(encoding="utf-8").strip(), path.stat().st_mode
    except FileNotFoundError:
        raise TokenError(
            f"There is no cluster token at {path}. `anima cluster` creates one; copy its file from that machine."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise TokenError(f"The cluster token at {path} cannot be read: {error}.") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise TokenError(f"Others can read the cluster token at {path}. Protect it: chmod 600 {path}")
    if len(text) < MIN_LENGTH:
        raise TokenError(
            f"{path} does not contain a cluster token. Copy it again from the machine with `anima cluster`."
        )


def ensure_token(path: Path) -> bool:
    """Create a token in `path` unless there is one. Returns whether it did. Raises TokenError, OSError."""
    if path.exists():
        check_token(path)
        return False
    _write(path)
    return True


def rotate_token(path: Path) -> None:
    """Replace the token in `path`. Raises OSError."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    _write(new)
    new.replace(path)


def _write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
