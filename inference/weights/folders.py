"""Which files a folder of ComfyUI's layout holds: quick, and without PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

#: In capitals too. The first is preferred where two files differ in nothing else.
SUFFIXES = (".safetensors", ".sft")


def files_under(folder: Path) -> list[Path]:
    """The safetensors files in `folder` and the folders in it, in order. Links to folders are followed.

    Each folder is entered once, by its own place before any link to it, so links that form a loop end.
    """
    return sorted(path for path in _all_under(folder) if path.suffix.lower() in SUFFIXES)


def other_files_under(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The files of other formats in `folder`, by their suffixes in small letters."""
    return sorted(path for path in _all_under(folder) if path.suffix.lower() in suffixes)


def without_suffix(name: str) -> str:
    """A file's name without the one suffix of a safetensors file at its end."""
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def _all_under(folder: Path) -> Iterator[Path]:
    entered: set[Path] = set()
    links = [folder]
    while links:
        folders = [links.pop(0)]
        while folders:
            here = folders.pop()
            try:
                real = here.resolve()
                children = sorted(here.iterdir())
            except (OSError, RuntimeError):  # not there, not readable, or a link to itself
                continue
            if real in entered:
                continue
            entered.add(real)
            for child in children:
                if not child.is_dir():
                    yield child
                elif child.is_symlink():
                    links.append(child)
                else:
                    folders.append(child)
