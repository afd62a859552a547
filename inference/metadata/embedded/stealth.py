"""Reads text that programs hide in the lowest bits of an image's channels, so that it survives without text chunks.

NovelAI and extensions of A1111 and Forge write it column by column: a signature of 15 characters, the length in bits as
a 32-bit number, most significant bit first, and the text, plain or in gzip. It is in the alpha channel, or in each
pixel's red, green and blue in turn.
"""

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from numpy import uint8
    from numpy.typing import NDArray

#: Larger images, in pixels, are not decoded to look for text.
MAX_AREA = 1 << 24
#: For each signature, whether the text is in gzip.
_IN_ALPHA = {b"stealth_pnginfo": False, b"stealth_pngcomp": True}
_IN_COLOURS = {b"stealth_rgbinfo": False, b"stealth_rgbcomp": True}
_HEAD_BITS = 8 * (15 + 4)


def read_text(image: Image.Image, max_length: int) -> str | None:
    """The hidden text of at most `max_length` bytes, or None. Decodes only images with RGB or alpha channels."""
    if image.width * image.height > MAX_AREA:
        return None
    return next((text for text in _texts(image, max_length) if text is not None), None)


def _texts(image: Image.Image, max_length: int) -> Iterator[str | None]:
    import numpy as np  # only here: most files have text chunks

    bands = image.getbands()
    if "A" in bands:
        yield _text(np.asarray(image.getchannel("A")).T.reshape(-1), _IN_ALPHA, max_length)
    if bands[:3] == ("R", "G", "B"):
        yield _text(np.asarray(image)[..., :3].transpose(1, 0, 2).reshape(-1), _IN_COLOURS, max_length)


def _text(values: "NDArray[uint8]", signatures: dict[bytes, bool], max_length: int) -> str | None:
    """The text in the lowest bits of these values, in their order; None if there is none."""
    import numpy as np

    head = np.packbits(values[:_HEAD_BITS] & 1).tobytes()
    compressed = signatures.get(head[:15])
    if compressed is None:
        return None
    length = int.from_bytes(head[15:], "big")
    if length % 8 or not 0 < length <= min(8 * max_length, len(values) - _HEAD_BITS):
        return None
    data = np.packbits(values[_HEAD_BITS : _HEAD_BITS + length] & 1).tobytes()
    try:
        return (_unzipped(data, max_length) if compressed else data).decode()
    except (ValueError, zlib.error):
        return None


def _unzipped(data: bytes, max_length: int) -> bytes:
    value = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data, max_length + 1)
    if len(value) > max_length:
        raise ValueError("the text is too long")
    return value
