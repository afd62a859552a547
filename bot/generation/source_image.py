"""Re-encodes the images that users upload for image-to-image, at a bounded size."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field, replace

from PIL import Image, ImageOps

from bot.generation.errors import UnusableImage
from bot.generation.options import Options
from bot.generation.redraw.area import Area
from bot.generation.sizes import is_cropped, size_like
from bot.text.translation import N_, say
from inference import NativeSettings
from inference.color import to_8_bit
from inference.editing.mask_image import MAX_ASPECT_ERROR, NEARLY_BLACK, levels_of, mask_of_transparency
from inference.editing.thin_mask import is_too_thin
from inference.request import MAX_SIDE

MAX_PIXELS = 40_000_000
#: Maximum longer side, in pixels, of stored source images: larger than any image that is not upscaled.
MAX_STORED_SIDE = 2048
#: If a smaller share of an image's pixels is mostly transparent, its transparency is ignored.
MIN_TRANSPARENT = 0.001
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF")
#: Modes that Pillow resizes smoothly, without dropping pixels.
SMOOTH_MODES = ("RGB", "RGBA", "L", "LA", "CMYK")

TOO_MANY_PIXELS = N_(
    "That picture is too large ({width}x{height}). The limit is {limit} megapixels. Make it smaller and try again."
)
UNREADABLE_IMAGE = N_("I can't read that file as a picture. Attach a PNG, JPEG, WebP or AVIF.")
BLACK_MASK = N_("The mask is completely black. Paint the part to redraw white.")
OTHER_SHAPE = N_("The mask ({mask}) must have the same shape as the picture ({picture}).")
CROPPED = N_("Your picture is cropped to {width}x{height}. To keep all of it, leave `aspect` out.")
CROPPED_ALL_THE_SAME = N_(
    "Your picture is cropped a little: {width}x{height} is the nearest size that can be drawn here."
)


@dataclass(frozen=True)
class UploadedImage:
    """An uploaded image as PNG files.

    source: as `prepare_source` makes it. transparent: a mask of its transparent parts, if it has any.
    """

    source: bytes = field(repr=False)
    transparent: bytes | None = field(repr=False)


def prepare_source(data: bytes, max_side: int = MAX_STORED_SIDE) -> bytes:
    """An image file as PNG, upright, without transparency, at most `max_side` pixels a side. Slow.

    Raises UnusableImage if it is not an image or has too many pixels.
    """
    return _on_white(_opened(data, max_side))


def prepare_upload(data: bytes) -> UploadedImage:
    """The same, and a mask of the transparent parts. Slow."""
    image = _opened(data, MAX_STORED_SIDE)
    seen_through = mask_of_transparency(image)
    levels = seen_through.histogram()
    enough = sum(levels[128:]) >= MIN_TRANSPARENT * sum(levels)
    return UploadedImage(_on_white(image), _as_png(seen_through) if enough else None)


def prepare_mask(data: bytes, source: bytes) -> bytes:
    """A mask's file as a grey PNG: white where to redraw. Slow.

    source: the masked image, as made by `prepare_source`.
    Raises UnusableImage if it is not an image, marks nothing, or has another shape than the masked image.
    """
    mask = _opened(data, MAX_SIDE)  # shrinking would blur a hard edge
    levels = levels_of(mask)
    if not (levels > NEARLY_BLACK).any():
        raise UnusableImage(say(BLACK_MASK))
    (width, height), drawn = mask.size, size_of(source)
    if abs((width / height) / (drawn[0] / drawn[1]) - 1) > MAX_ASPECT_ERROR:
        sizes = {"mask": f"{width}x{height}", "picture": f"{drawn[0]}x{drawn[1]}"}
        raise UnusableImage(say(OTHER_SHAPE, **sizes))
    return _as_png(Image.fromarray(levels))


def redraws_nothing(mask: bytes | None, area: Area | None, size: tuple[int, int] | None) -> bool:
    """Whether an area is a mask that vanishes when it is scaled to an image of this size. Slow.

    mask: a file made by `prepare_mask`.
    """
    if mask is None or area is None or not area.masked or size is None:
        return False
    with Image.open(io.BytesIO(mask), formats=("PNG",)) as opened:
        return is_too_thin(opened, *size)


def _opened(data: bytes, max_side: int) -> Image.Image:
    """The image as RGBA, upright. Raises UnusableImage."""
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise UnusableImage(say(TOO_MANY_PIXELS, width=image.width, height=image.height, limit=MAX_PIXELS // 10**6))
        deep_enough = to_8_bit(image)
        opened = deep_enough if deep_enough.mode in SMOOTH_MODES else deep_enough.convert("RGBA")
        opened.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)  # before the steps that copy it
        return ImageOps.exif_transpose(opened).convert("RGBA")
    except (OSError, ValueError, SyntaxError, RuntimeError, Image.DecompressionBombError) as error:
        raise UnusableImage(say(UNREADABLE_IMAGE)) from error


def _on_white(image: Image.Image) -> bytes:
    flat = Image.new("RGB", image.size, "white")
    flat.paste(image, mask=image.getchannel("A"))
    return _as_png(flat)


def _as_png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
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
    max_side: int = MAX_SIDE,
    area: float = math.inf,
) -> tuple[Options, str]:
    """The resolved options with the source image's shape, unless a size was `said`; and a note if that crops it.

    max_side, area: the limits for a side and for the area.
    """
    if said.size is None:
        options = replace(options, size=size_like(source, native.sizes, max_side, area))
    assert options.size is not None
    if not is_cropped(source, options.size):
        return options, ""
    width, height = options.size
    return options, say(CROPPED_ALL_THE_SAME if said.size is None else CROPPED, width=width, height=height)
