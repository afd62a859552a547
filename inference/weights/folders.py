"""Lists the files of a folder in ComfyUI's layout: quick, and without PyTorch."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

#: Upper case counts too. If two files differ only in their suffix, the first suffix is preferred.
SUFFIXES = (".safetensors", ".sft")
#: ComfyUI's folder for files that hold all parts of a model, then its folders for each part, current names first.
ALL_IN_ONE_FOLDER = "checkpoints"
TRANSFORMER_FOLDERS = ("diffusion_models", "unet", ALL_IN_ONE_FOLDER)
TEXT_ENCODER_FOLDERS = ("text_encoders", "clip", ALL_IN_ONE_FOLDER)
VAE_FOLDERS = ("vae", ALL_IN_ONE_FOLDER)

_PIECE = re.compile(r"-\d{1,6}-of-(\d{1,6})(?=\.)")


def files_under(folder: Path) -> list[Path]:
    """The safetensors files in `folder` and the folders in it, sorted. Links to folders are followed.

    Each folder is entered once, by its own path before any link to it, so that loops of links end. Names that start
    with a dot are left out (trash, caches, files that macOS adds).
    """
    return sorted(path for path in _all_under(folder) if path.suffix.lower() in SUFFIXES)


def distinct(paths: Iterable[Path], preferred: Callable[[Path], bool] = lambda _path: False) -> list[Path]:
    """One path for each file, even if several lead to it through links of any kind.

    Of several paths to one file, one that is preferred is kept, then one that is no symbolic link.
    """
    found: dict[object, Path] = {}
    for path in sorted(paths, key=lambda path: (not preferred(path), path.is_symlink())):
        try:
            status = path.stat()
        except OSError:
            found.setdefault(path, path)
        else:
            found.setdefault((status.st_dev, status.st_ino) if status.st_ino else path.resolve(), path)
    return list(found.values())


def paths_by_name(folder: Path) -> Mapping[str, Path]:
    """The safetensors files by their paths in `folder` without suffix. If two are the same, the second keeps it.

    Names are `composed`. A file whose name is not valid UTF-8 is left out: nobody could type it.
    """
    paths: dict[str, Path] = {}
    for path in sorted(files_under(folder), key=lambda path: SUFFIXES.index(path.suffix.lower())):
        file = composed(path.relative_to(folder).as_posix())
        if not is_text(file):
            continue
        paths[file if without_suffix(file) in paths else without_suffix(file)] = path
    return paths


def other_files_under(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The files of other formats in `folder`. suffixes: in lower case."""
    return sorted(path for path in _all_under(folder) if path.suffix.lower() in suffixes)


def dead_links_under(folder: Path) -> list[Path]:
    """Dangling links that may stand for weights: the folder itself, and links to files or folders in it."""
    found: list[Path] = []
    for here, folders, files in os.walk(folder):
        paths = (Path(here, name) for name in files if not name.startswith("."))
        found += [path for path in paths if path.suffix.lower() in ("", *SUFFIXES) and is_dead_link(path)]
        folders[:] = [name for name in folders if not name.startswith(".")]
    return [folder] if is_dead_link(folder) else sorted(found)


def is_dead_link(path: Path) -> bool:
    return path.is_symlink() and not os.path.exists(path)


def is_piece(path: Path) -> bool:
    """Whether a file's name says that it is one of several pieces of a model: `model-00001-of-00002.safetensors`."""
    match = _PIECE.search(path.name)
    return match is not None and int(match[1]) > 1


def composed(name: str) -> str:
    """A name as people type it, with one code point for が (NFC). Files from Macs may have two, か and ゛ (NFD)."""
    return unicodedata.normalize("NFC", name)


def is_text(name: str) -> bool:
    """Whether a file's name is valid UTF-8: in other names, Python uses lone surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def without_suffix(name: str) -> str:
    """A file's name without one suffix of a safetensors file at its end."""
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
                if child.name.startswith("."):
                    continue
                if child.is_file():  # neither a dangling link nor a pipe
                    yield child
                elif not child.is_dir():
                    continue
                elif child.is_symlink():
                    links.append(child)
                else:
                    folders.append(child)
