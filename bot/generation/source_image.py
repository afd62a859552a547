"""Images that people give to be drawn from, made small and harmless."""

from __future__ import annotations

import io
import math
from dataclasses import replace

from PIL import Image, ImageOps

from bot.generation.errors import UnusableImage
from bot.generation.options import Options
from bot.generation.sizes import is_cropped, size_like
from bot.text.translation import N_, say
from inference import NativeSettings
from inference.color import to_8_bit
from inference.request import MAX_SIDE

MAX_PIXELS = 40_000_000
#: Pixels of the longer side that are kept: more than any image is drawn with.
KEPT_SIDE = 2048
FORMATS = ("PNG", "JPEG", "WEBP")
#: Pillow's modes that it makes smaller without dropping pixels.
SMOOTH_MODES = ("RGB", "RGBA", "L", "LA", "CMYK")

TOO_MANY_PIXELS = N_(
    "That picture is too large ({width}x{height}). The limit is {limit} megapixels. Make it smaller and try again."
)
UNREADABLE_IMAGE = N_("I can't read that file as a picture. Attach a PNG, JPEG or WebP.")
CROPPED = N_("Your picture is cropped to {width}x{height}. To keep all of it, leave `aspect` out.")
CROPPED_ALL_THE_SAME = N_(
    "Your picture is cropped a little: {width}x{height} is the nearest size that can be drawn here."
)


def prepare_source(data: bytes) -> bytes:
    """An image file as PNG, upright, without transparency, at most KEPT_SIDE pixels a side. Slow.

    Raises UnusableImage for what is no image, or one of too many pixels.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise UnusableImage(say(TOO_MANY_PIXELS, width=image.width, height=image.height, limit=MAX_PIXELS // 10**6))
        deep_enough = to_8_bit(image)
        opened = deep_enough if deep_enough.mode in SMOOTH_MODES else deep_enough.convert("RGBA")
        opened.thumbnail((KEPT_SIDE, KEPT_SIDE), Image.Resampling.LANCZOS)  # before there are copies of it
        upright = ImageOps.exif_transpose(opened).convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnusableImage(say(UNREADABLE_IMAGE)) from error
    flat = Image.new("RGB", upright.size, "white")
    flat.paste(upright, mask=upright.getchannel("A"))
    buffer = io.BytesIO()
    flat.save(buffer, "PNG")
    return buffer.getvalue()


def size_of(png: bytes) -> tuple[int, int]:
    """Width and height of a file made by `prepare_source`."""
    with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
        return image.size


def with_size_of_source(
    options: Options,
    said: Options,
    source: tuple[int, int],
    native: NativeSettings,
    *,
    longest: int = MAX_SIDE,
    area: float = math.inf,
) -> tuple[Options, str]:
    """The resolved options with the source image's shape, unless a size was `said`; and a note about it.

    longest, area: the limits for a side and for the area.
    """
    if said.size is None:
        options = replace(options, size=size_like(source, native.sizes, longest, area))
    assert options.size is not None
    if not is_cropped(source, options.size):
        return options, ""
    width, height = options.size
    return options, say(CROPPED_ALL_THE_SAME if said.size is None else CROPPED, width=width, height=height)
