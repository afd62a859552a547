"""The hashes by which Civitai and the web UIs identify a weights file.

They are computed from the file, never taken from its header: `modelspec.hash_sha256` there is a hash of only the
tensors, not of the file, and a copied header can be wrong.
"""

import hashlib
import os
from functools import lru_cache
from pathlib import Path

_HEADER_LENGTH_BYTES = 8


def model_hash(path: str | os.PathLike[str]) -> str:
    """AutoV2: the first 10 hexadecimal digits of the file's SHA-256. A file is not read again until it changes."""
    return file_sha256(path)[:10]


def lora_hash(path: str | os.PathLike[str]) -> str:
    """AutoV3: the first 12 hexadecimal digits of the SHA-256 of what follows a safetensors file's header.

    It does not change if a LoRA's description is edited. Raises ValueError if it is not a safetensors file.
    """
    return _cached_sha256(path, skip_header=True)[:12]


def file_sha256(path: str | os.PathLike[str]) -> str:
    """The file's SHA-256 in hexadecimal, cached until the file changes. Raises OSError."""
    return _cached_sha256(path, skip_header=False)


def _cached_sha256(path: str | os.PathLike[str], *, skip_header: bool) -> str:
    status = Path(path).stat()
    return _sha256(Path(path).resolve(), status.st_size, status.st_mtime_ns, skip_header)


@lru_cache(maxsize=1024)
def _sha256(path: Path, size: int, changed_ns: int, skip_header: bool) -> str:
    with path.open("rb") as file:
        if skip_header:
            start = _HEADER_LENGTH_BYTES + int.from_bytes(file.read(_HEADER_LENGTH_BYTES), "little")
            if start > size:
                raise ValueError(f"{path} is not a safetensors file: its header would be longer than the file.")
            file.seek(start)
        return hashlib.file_digest(file, "sha256").hexdigest()
