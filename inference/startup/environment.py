"""Environment variables that an engine's libraries read on import."""

from __future__ import annotations

import os
from pathlib import Path

#: The variables for the cache folders of PyTorch's compiler and of triton.
COMPILED = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")


def set_up_environment() -> None:
    """Set the variables that the operator has not set."""
    # Threads that spin while waiting make an image ten times slower as soon as another program needs a core.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if (compiled := cache_folder()) is not None:
        for name, folder in zip(COMPILED, ("inductor", "triton"), strict=True):
            os.environ.setdefault(name, str(compiled / folder))


def cache_folder() -> Path | None:
    """Where compiled code is kept between starts: `anima-bot` in XDG_CACHE_HOME, by default `~/.cache`.

    None if it cannot be created or written; PyTorch then uses its own folder among the temporary files.
    """
    try:
        folder = _cache_home() / "anima-bot"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: no home
        return None
    return folder if os.access(folder, os.W_OK) else None


def why_not_kept() -> str | None:
    """Why code compiled for the GPU may be lost before the next start, and what to do; None if it is kept."""
    if cache_folder() is not None or all(name in os.environ for name in COMPILED):
        return None
    try:
        where = f"{_cache_home()} cannot be written"
    except RuntimeError:
        where = "there is no home folder"
    return (
        f"Code compiled for the GPU is kept in the folder for temporary files, because {where}. If that folder "
        "is emptied, the next start takes longer. Set XDG_CACHE_HOME to a folder that this user can write."
    )


def _cache_home() -> Path:
    """Raises RuntimeError without a home folder."""
    base = os.environ.get("XDG_CACHE_HOME", "")  # relative paths count as not set (XDG Base Directory Specification)
    return Path(base) if os.path.isabs(base) else Path.home() / ".cache"
