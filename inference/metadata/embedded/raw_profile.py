"""Reads the EXIF block and the XMP packet that ImageMagick stores as hexadecimal text when it writes a PNG file."""

import re
from collections.abc import Mapping

_PROFILE = re.compile(r"\s*[\w ]{1,20}\n\s*\d{1,9}\n([0-9a-fA-F\s]*)")
_EXIF = ("Raw profile type exif", "Raw profile type APP1")
_XMP = "Raw profile type xmp"


def exif(texts: Mapping[str, str]) -> bytes:
    """The EXIF block among a file's texts; empty if there is none."""
    return next(filter(None, (_bytes(texts.get(key, "")) for key in _EXIF)), b"")


def xmp(texts: Mapping[str, str]) -> str:
    return _bytes(texts.get(_XMP, "")).decode("utf-8", "replace")


def _bytes(text: str) -> bytes:
    profile = _PROFILE.fullmatch(text)
    try:
        return b"" if profile is None else bytes.fromhex(profile[1])
    except ValueError:
        return b""
