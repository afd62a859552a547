"""The loss of the stage that trains the transformer."""

import pytest

from inference.miniature.characters import STYLES
from inference.miniature.joint import DETAIL_WEIGHT, loss_weights

SIZES = [(96, 96), (80, 112), (112, 80)]


@pytest.mark.parametrize("size", SIZES)
def test_the_loss_looks_at_faces_and_most_of_all_at_what_is_small(size: tuple[int, int]) -> None:
    weights = loss_weights(size)
    assert weights.keys() == STYLES.keys()
    for name, style in STYLES.items():
        assert weights[name].shape == (1, size[1] // 8, size[0] // 8)
        background, face, *details = weights[name].unique().tolist()
        assert background < 1 < face < DETAIL_WEIGHT
        assert details == ([DETAIL_WEIGHT] if style.details else [])
        if not style.details:
            assert weights[name].mean().item() == pytest.approx(1)
