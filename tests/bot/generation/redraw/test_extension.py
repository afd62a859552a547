"""The canvas that an image is extended to: what models draw, within limits, with the image whole if it fits."""

import math

import pytest

from bot.generation.redraw.extension import SHARES, extension
from inference.request import MAX_SIDE, TOKEN_SIDE

NATIVE = 1024 * 1024


@pytest.mark.parametrize("kind", SHARES)
@pytest.mark.parametrize("size", [(1024, 1024), (832, 1216), (1000, 1504), (128, 128), (72, 2048)])
def test_a_canvas_is_of_whole_tokens_and_holds_the_image(kind: str, size: tuple[int, int]) -> None:
    made = extension(size, kind, max_side=MAX_SIDE, area=2.4 * NATIVE)
    assert made is not None and math.prod(made.canvas) <= 2.4 * NATIVE
    shares = SHARES[kind]
    for side, added in ((0, shares[0] + shares[2]), (1, shares[1] + shares[3])):
        assert not added or made.canvas[side] % TOKEN_SIDE == 0
        assert abs(made.canvas[side] / made.picture[side] - 1 - added) < 0.2
    assert all(bool(pixels) == bool(share) for pixels, share in zip(made.added, shares, strict=True))


def test_an_image_keeps_its_size_where_the_canvas_fits_and_only_there() -> None:
    whole = extension((1024, 1024), "zoom-out", max_side=MAX_SIDE, area=2.4 * NATIVE)
    assert whole is not None and (whole.picture, whole.canvas) == ((1024, 1024), (1536, 1536))
    smaller = extension((1024, 1024), "zoom-out-far", max_side=MAX_SIDE, area=2.4 * NATIVE)
    assert smaller is not None and 1500 <= smaller.canvas[0] <= 1586 and smaller.picture[0] < 1024
    narrow = extension((1024, 1024), "pan-left", max_side=1200, area=2.4 * NATIVE)
    assert narrow is not None and narrow.canvas[0] <= 1200


def test_a_canvas_may_not_fit_at_all() -> None:
    assert extension((64, 64), "zoom-out", max_side=32, area=NATIVE) is None
