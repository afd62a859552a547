"""Reads the texts of an XMP packet, where Draw Things and image editors store facts about an image.

Packets are untrusted and may be malformed, so each property is searched for once, by its usual name, without a parser.
"""

import html
import re
from collections.abc import Iterable

from inference.metadata import a1111
from inference.metadata.parameters import json_object
from inference.metadata.programs.captions import CAPTION

#: The key under which a PNG file's iTXt chunk holds the packet.
PNG_KEY = "XML:com.adobe.xmp"
_PROPERTIES = ("exif:UserComment", "dc:description", "tiff:ImageDescription", "exif:ImageDescription")
_TAG = re.compile(r"<[^<>]*>")


def texts(packet: str) -> dict[str, str]:
    """The texts of a packet, under the keys that `by_kind` gives them."""
    return by_kind(_property(packet, name) for name in _PROPERTIES)


def by_kind(texts: Iterable[str]) -> dict[str, str]:
    """Gives texts a key: `UserComment` for a JSON object, `parameters` for a web UI's text, `CAPTION` for others."""
    found: dict[str, str] = {}
    for text in texts:
        if json_object(text) is not None:
            found.setdefault("UserComment", text)
        elif text and a1111.read(text) is not None:
            found.setdefault("parameters", text)
        elif text:
            found.setdefault(CAPTION, text)
    return found


def _property(packet: str, name: str) -> str:
    """The value of a property, which may be an element or an attribute; if there are alternatives, the first."""
    start = packet.find(f"<{name}")
    if start >= 0:
        begin, end = packet.find(">", start) + 1, packet.find(f"</{name}>", start)
        if 0 < begin <= end:
            value = packet[begin:end]
            item, item_end = value.find("<rdf:li"), value.find("</rdf:li>")
            value = value[item:item_end] if 0 <= item < item_end else value
            return html.unescape(_TAG.sub("", value)).strip()
    start = packet.find(f'{name}="')
    if start < 0:
        return ""
    begin = start + len(name) + 2
    end = packet.find('"', begin)
    return html.unescape(packet[begin : end if end >= 0 else begin]).strip()
