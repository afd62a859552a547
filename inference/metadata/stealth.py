"""Reads text that programs hide in the lowest bit of an image's alpha channel, for when text chunks are dropped.

NovelAI and extensions of A1111 and Forge write it: down the columns, a signature of 15 characters, the length in bits
as 32 bits, most significant first, and the text, as it is or in gzip.
"""

import zlib

from PIL import Image

#: Pixels of the largest picture that is decoded for it.
MAX_AREA = 1 << 24
_SIGNATURES = {b"stealth_pnginfo": False, b"stealth_pngcomp": True}
_SIGNATURE_LENGTH = 15


def read_text(image: Image.Image, max_length: int) -> str | None:
    """The hidden text of at most `max_length` bytes, or None. Decodes the pixels if there is an alpha channel."""
    import numpy as np  # only here: most files have text chunks

    if "A" not in image.getbands() or image.width * image.height > MAX_AREA:
        return None
    bits = np.asarray(image.getchannel("A")).T.reshape(-1) & 1
    head = np.packbits(bits[: 8 * (_SIGNATURE_LENGTH + 4)]).tobytes()
    compressed = _SIGNATURES.get(head[:_SIGNATURE_LENGTH])
    if compressed is None:
        return None
    length = int.from_bytes(head[_SIGNATURE_LENGTH:], "big")
    start = 8 * (_SIGNATURE_LENGTH + 4)
    if length % 8 or not 0 < length <= min(8 * max_length, len(bits) - start):
        return None
    data = np.packbits(bits[start : start + length]).tobytes()
    try:
        return (_unzipped(data, max_length) if compressed else data).decode()
    except (ValueError, zlib.error):
        return None


def _unzipped(data: bytes, max_length: int) -> bytes:
    value = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data, max_length + 1)
    if len(value) > max_length:
        raise ValueError("the text is too long")
    return value
