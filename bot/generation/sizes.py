"""Sizes by name, by ratio (`2:3`) or in pixels (`832x1216`); and the sizes of upscales."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from bot.generation.errors import InvalidOption
from bot.generation.values import MIN_SIDE
from bot.text.numbers import half_width
from bot.text.translation import say
from inference.request import MAX_SIDE, SIDE_MULTIPLE, TOKEN_SIDE

Size = tuple[int, int]

SIZE = re.compile(r"(\d{2,4})\s*[x\u00d7*]\s*(\d{2,4})")
_RATIO = re.compile(r"(\d{1,2}(?:\.\d{1,2})?)\s*[:/]\s*(\d{1,2}(?:\.\d{1,2})?)")
_SIDE = re.compile(r"\d{3,4}")
_FAMILIAR = ((1, 1), (5, 4), (4, 3), (7, 5), (3, 2), (16, 10), (16, 9), (2, 1), (21, 9))
MAX_STRETCHED = 4
#: Largest difference between two shapes that counts as equal, in logarithms: about 2% of one side.
VISIBLE_CROP = 0.02
#: One upscale multiplies the sides by this.
UPSCALE_FACTOR = 1.5
#: If that exceeds a limit, the largest allowed factor is used, down to this one.
MIN_UPSCALE_FACTOR = 1.15
#: Up to this many times its native area, a model draws one image; beyond it, often several side by side.
ONE_PASS_TIMES_NATIVE = 2.4


def describe_size(size: Size) -> str:
    """A size as lists of choices show it: `portrait 2:3, 832x1216`."""
    width, height = size
    shapes = {0: say("square"), 1: say("landscape"), -1: say("portrait")}
    shape = shapes[(width > height) - (width < height)]
    long, short = min(_FAMILIAR, key=lambda ratio: abs(math.log(ratio[0] / ratio[1] * min(size) / max(size))))
    ratio = f"{long}:{short}" if width >= height else f"{short}:{long}"
    return f"{shape} {ratio}, {width}x{height}"


def parse_size(text: str, native: tuple[Size, ...]) -> Size:
    """Parses a typed or chosen aspect to a size in pixels; `1024` is a square of that side.

    A ratio becomes the model's native size of that shape, or one of the same area. Raises InvalidOption.
    """
    text = half_width(text).strip().casefold()
    if _SIDE.fullmatch(text):
        return to_multiple(int(text)), to_multiple(int(text))
    if size := SIZE.search(text):
        return to_multiple(int(size[1])), to_multiple(int(size[2]))
    if ratio := _RATIO.search(text):
        shape = float(ratio[1]) / max(float(ratio[2]), 1e-9)
        if 1 / MAX_STRETCHED <= shape <= MAX_STRETCHED:
            return _of_shape(shape, native)
    for size_ in native:
        if text and describe_size(size_).casefold().startswith(text):
            return size_
    raise InvalidOption(
        say(
            "I don't understand that aspect. Pick one from the list, or type a ratio (such as 2:3, up to "
            "4:1) or a size (such as {size}).",
            size=example_size(native),
        )
    )


def example_size(native: tuple[Size, ...]) -> str:
    """One of the model's native sizes in the format users type: a portrait if it has one."""
    width, height = next((size for size in native if size[0] < size[1]), native[0])
    return f"{width}x{height}"


def size_like(image: Size, native: tuple[Size, ...], max_side: int = MAX_SIDE, area: float = math.inf) -> Size:
    """The size closest to an image's shape with about the model's native number of pixels, so that little is cropped.

    max_side, area: the limits for a side and for the area. For a very long shape the shorter side is MIN_SIDE, and the
    ends are cropped.
    """
    shape = image[0] / image[1]
    most = min(native[0][0] * native[0][1], area)
    long = min(math.sqrt(most * max(shape, 1 / shape)), max_side)
    short = long / max(shape, 1 / shape)

    def misfit(size: Size) -> float:
        """A crop counts more than a difference in pixels."""
        return abs(math.log(size[0] / size[1] / shape)) + abs(math.log(size[0] * size[1] / (long * short))) / 4

    wide = [(one, other) for one in _around(long, max_side) for other in _around(short, max_side)]
    sizes = [size if shape >= 1 else (size[1], size[0]) for size in wide]
    fitting = [size for size in sizes if size[0] * size[1] <= area] or [min(sizes, key=math.prod)]
    return min(fitting, key=misfit)


def is_cropped(image: Size, size: Size) -> bool:
    """Whether resizing an image to this size visibly crops it."""
    return abs(math.log(image[0] / image[1] / (size[0] / size[1]))) > VISIBLE_CROP


def _around(side: float, max_side: int) -> list[int]:
    """The valid sides close to a length."""
    below = math.floor(side / TOKEN_SIDE)
    sides = {TOKEN_SIDE * steps for steps in range(below - 1, below + 3)}
    return sorted(each for each in sides if MIN_SIDE <= each <= max_side) or [MIN_SIDE]


def to_multiple(side: int, multiple: int = SIDE_MULTIPLE) -> int:
    """The nearest valid side; does not check for too large ones, which the limits do."""
    return max(round(side / multiple) * multiple, MIN_SIDE)


def larger_size(size: Size, allowed: Callable[[Size], bool]) -> Size | None:
    """The size that an image is upscaled to, or None if no useful one is allowed."""
    for hundredths in range(round(100 * UPSCALE_FACTOR), round(100 * MIN_UPSCALE_FACTOR) - 1, -5):
        width, height = (round(side * hundredths / 100 / TOKEN_SIDE) * TOKEN_SIDE for side in size)
        if allowed((width, height)):
            return width, height
    return None


def tile_for(size: Size, native: Size) -> Size | None:
    """The size of the tiles in which an upscale is drawn; None for a single pass."""
    return native if math.prod(size) > ONE_PASS_TIMES_NATIVE * math.prod(native) else None


def _of_shape(shape: float, native: tuple[Size, ...]) -> Size:
    def distance(size: Size) -> float:
        return abs(math.log(size[0] / size[1] / shape))

    nearest = min(native, key=distance)
    if distance(nearest) < 0.06:
        return nearest
    area = native[0][0] * native[0][1]
    return tuple(to_multiple(round(math.sqrt(part)), TOKEN_SIDE) for part in (area * shape, area / shape))  # type: ignore[return-value]
