"""Variables that libraries of an engine read as they are imported."""

from __future__ import annotations

import os
from pathlib import Path


def set_up_environment() -> None:
    """Set what the operator has not set."""
    # Threads that wait by spinning make an image ten times as slow as soon as another program wants a core.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if (compiled := cache_folder()) is not None:
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(compiled / "inductor"))
        os.environ.setdefault("TRITON_CACHE_DIR", str(compiled / "triton"))


def cache_folder() -> Path | None:
    """Where compiled code is kept between starts: `anima-bot` in XDG_CACHE_HOME, which is `~/.cache` if not set.

    None where there is no such folder and none can be made: then PyTorch's own, in the folder for temporary files.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")  # relative paths count as not set (XDG Base Directory Specification)
    try:
        folder = (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "anima-bot"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: no home
        return None
    return folder if os.access(folder, os.W_OK) else None
