"""Writes PNG files (W3C, third edition) quickly: one filter for all rows, and parts that ISA-L compresses in parallel.

Pillow tries five filters on each row and compresses on one thread, during which all other Python threads wait. ISA-L
takes less than half of zlib's time: see docs/benchmarks.md.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial, reduce

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: The filter that stores differences from the average of the left and the upper pixel.
AVERAGE = 3
CHANNELS = 3
#: The same on every machine, so that files are too.
PARTS = 4
#: ISA-L's compression level; higher ones make files hardly smaller.
LEVEL = 1
#: zlib's header for a window of 32 KiB and the fastest level.
ZLIB_HEADER = b"\x78\x01"


def write_png(image: Image.Image, texts: Iterable[tuple[bytes, bytes]]) -> bytes:
    """An RGB image as a PNG file. `texts`: types and contents of the chunks before its pixels."""
    header = struct.pack(">IIBBBBB", image.width, image.height, 8, 2, 0, 0, 0)
    rows = np.asarray(image).reshape(image.height, -1)
    chunks = [(b"IHDR", header), *texts, (b"IDAT", _compressed(rows)), (b"IEND", b"")]
    return PNG_SIGNATURE + b"".join(_chunk(kind, content) for kind, content in chunks)


@dataclass(frozen=True)
class _Part:
    filtered: NDArray[np.uint8]
    deflated: bytes


def _compressed(rows: NDArray[np.uint8]) -> bytes:
    """Filters rows of pixels, [height, 3 * width], and compresses them to one zlib stream (RFC 1950)."""
    limits = np.linspace(0, len(rows), PARTS + 1).astype(int)
    with ThreadPoolExecutor(min(PARTS, os.cpu_count() or 1)) as threads:
        parts = list(threads.map(partial(_part, rows), limits[:-1], limits[1:]))
    checksum = reduce(lambda value, part: isal_zlib.adler32(part.filtered.data, value), parts, 1)
    return ZLIB_HEADER + b"".join(part.deflated for part in parts) + struct.pack(">I", checksum)


def _part(rows: NDArray[np.uint8], start: int, stop: int) -> _Part:
    """The rows from `start` to `stop`. All parts but the last end on a byte boundary, so that they can be joined."""
    filtered = _filtered(rows, start, stop)
    compressor = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS)
    end = isal_zlib.Z_FINISH if stop == len(rows) else isal_zlib.Z_FULL_FLUSH
    return _Part(filtered, compressor.compress(filtered.data) + compressor.flush(end))


def _filtered(rows: NDArray[np.uint8], start: int, stop: int) -> NDArray[np.uint8]:
    """[stop - start, 1 + 3 * width]: for each row its filter type, and its bytes as differences."""
    own = rows[start:stop]
    left, above = np.zeros_like(own), np.zeros_like(own)
    left[:, CHANNELS:] = own[:, :-CHANNELS]
    above[int(start == 0) :] = rows[max(start - 1, 0) : max(stop - 1, 0)]
    filtered = np.empty((len(own), 1 + own.shape[1]), np.uint8)
    filtered[:, 0] = AVERAGE
    np.subtract(own, (left >> 1) + (above >> 1) + (left & above & 1), out=filtered[:, 1:])
    return filtered


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", isal_zlib.crc32(kind + content))
