"""A safetensors file's header: JSON with each tensor's dtype, shape and offsets, and metadata."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Bytes. Reading a header takes a hundred times its size of memory. Headers of large models, or with a long history of
#: training, have a few megabytes.
MAX_HEADER = 16 << 20
#: Bytes before the header, which say how long it is.
LENGTH_BYTES = 8


@dataclass(frozen=True)
class Header:
    """`shapes`: of the tensors, by their keys. `metadata`: texts by name, often empty."""

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, str]
    #: First and last byte of each tensor, counted in the file.
    _places: Mapping[str, tuple[int, int]] = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> Header:
        """Raises OSError, and ValueError if it is not a safetensors file."""
        check_header(path)
        with path.open("rb") as file:
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            text = file.read(length)
        if length == 0 or len(text) < length:
            raise ValueError(f"its header should have {length:,} bytes, but {len(text):,} are there")
        try:
            entries = json.loads(text)
            metadata = entries.pop("__metadata__", None) or {}
            shapes = {key: tuple(int(side) for side in entry["shape"]) for key, entry in entries.items()}
            places = {key: _place(entry, LENGTH_BYTES + length) for key, entry in entries.items()}
        except (LookupError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"its header is not that of a safetensors file ({error})") from error
        end = max((last for _, last in places.values()), default=LENGTH_BYTES + length)
        if (size := path.stat().st_size) < end:
            raise ValueError(f"its tensors end at byte {end:,}, but it has only {size:,}")
        return cls(path, shapes, {str(name): str(value) for name, value in dict(metadata).items()}, places)

    def content(self, key: str, max_bytes: int = 1 << 16) -> bytes:
        """The bytes of one tensor, at most `max_bytes`. Raises OSError."""
        first, last = self._places[key]
        with self.path.open("rb") as file:
            file.seek(first)
            return file.read(min(last - first, max_bytes))


def _place(entry: Any, start: int) -> tuple[int, int]:
    first, last = entry["data_offsets"]
    return start + int(first), start + int(last)


def check_header(path: Path) -> None:
    """Raises ValueError for an empty file or an implausibly long header, and says what the file may be instead."""
    with path.open("rb") as file:
        start = file.read(MAX_MARK_LENGTH)
    if not start:
        raise ValueError("it is empty")
    length = int.from_bytes(start[:LENGTH_BYTES], "little")
    if length <= MAX_HEADER:
        return
    if what := next((what for mark, what in _OTHER_FORMATS if start.lstrip().startswith(mark)), None):
        raise ValueError(f"it is {what}")
    raise ValueError(f"its header has {length:,} bytes, more than {MAX_HEADER:,}")


#: The first bytes of files in other formats, whatever their suffix, and what they are.
_OTHER_FORMATS = (
    (b"GGUF", "a GGUF file, a format that is not supported"),
    (b"PK\x03\x04", "a pickle of PyTorch (.ckpt, .pt) or a zip file, formats that are not accepted"),
    (b"\x80\x02", "a pickle (.ckpt, .pt), a format that is not accepted"),
    (b"version https://git-lfs", "only the pointer of Git LFS to the file (`git lfs pull` fetches the file itself)"),
    (b"<", "a web page, perhaps one that asks for a login"),
    (b'{"error', "an error message of the server that it came from"),
)
MAX_MARK_LENGTH = 64


#: Windows' error codes: memory and page file are too small to map a file; another program has the file open or locked.
COMMITMENT_LIMIT, SHARING_VIOLATION, LOCK_VIOLATION = 1455, 32, 33


def system_fault(error: Exception) -> str | None:
    """Why an intact file cannot be opened now, and what to do, in a sentence; None if the file is to blame.

    The error's number decides, because the system's message is in the user's language.
    """
    number = getattr(error, "winerror", None)
    if number is None and (found := re.search(r"\bos error (\d+)\b|\[WinError (\d+)\]", str(error))):
        number = int(found[1] or found[2])
    if number == COMMITMENT_LIMIT:
        return (
            "Windows does not have enough memory for it (error 1455). Let Windows manage the size of the page file "
            "(System > Advanced system settings > Performance > Advanced > Virtual memory), or close other programs."
        )
    if isinstance(error, PermissionError) or (
        sys.platform == "win32" and number in (SHARING_VIOLATION, LOCK_VIOLATION)
    ):
        return f"it cannot be read, or another program is using it ({error}). Allow reading it, or close that program."
    return None


def read_metadata(path: Path) -> Mapping[str, str]:
    """The metadata of a safetensors file; empty if it cannot be read."""
    try:
        return Header.read(path).metadata
    except (OSError, ValueError):
        return {}


def version(path: Path) -> tuple[int, int]:
    """A key that changes whenever the file does, for caching what was read from it."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size
