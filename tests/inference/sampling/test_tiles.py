"""What is coarse in an image that is enlarged stays; only what is finer is drawn."""

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from inference.sampling.tiles import in_tiles, keeping_coarse

SIGMA = torch.tensor(0.4)


def drawing_noise(x: Tensor, sigma: Tensor) -> Tensor:
    return torch.randn(x.shape, generator=torch.Generator().manual_seed(1))


def test_the_coarse_structure_of_the_source_is_kept_whatever_is_drawn() -> None:
    source = torch.linspace(-2, 2, 64).expand(1, 16, 64, 64)
    drawn = keeping_coarse(drawing_noise, source, 32)(source, SIGMA)
    assert isinstance(drawn, Tensor)
    difference = F.avg_pool2d(drawn - source, 8)
    assert difference.abs().max() < 0.5 * F.avg_pool2d(drawing_noise(source, SIGMA) - source, 8).abs().max()
    fine = drawn - F.avg_pool2d(drawn, 4).repeat_interleave(4, -1).repeat_interleave(4, -2)
    assert fine.std() > 0.8, "what is finer is drawn"


def test_coarse_structure_stays_in_place_if_sides_are_not_multiples_of_a_cell() -> None:
    source = torch.zeros(1, 16, 35, 29)
    source[..., 28:32, 20:24] = 1  # one cell of 4 x 4

    def forgetting(x: Tensor, sigma: Tensor) -> Tensor:
        return torch.zeros_like(x)

    coarse = keeping_coarse(forgetting, source, 32)(source, SIGMA)
    assert isinstance(coarse, Tensor)
    rows, columns = coarse[0, 0].sum(dim=1), coarse[0, 0].sum(dim=0)
    torch.testing.assert_close(rows[26:30], rows[30:34].flip(0))
    torch.testing.assert_close(columns[16:22], columns[22:28].flip(0))


def test_an_answer_that_is_like_the_source_stays_as_it_is_and_pairs_stay_pairs() -> None:
    source = torch.randn(1, 16, 10, 13)

    def knowing(x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        return source, source.clone()

    answer = keeping_coarse(knowing, source, 32)(source, SIGMA)
    assert isinstance(answer, tuple)
    assert all(torch.equal(each, source) for each in answer)


def test_tiles_that_agree_leave_no_border_at_any_step() -> None:
    x = torch.randn(2, 16, 40, 28)

    def halving(x: Tensor, sigma: Tensor) -> Tensor:
        return x / 2

    denoiser = in_tiles(halving, 16, 12)
    for _ in range(6):
        drawn = denoiser(x, SIGMA)
        assert isinstance(drawn, Tensor)
        torch.testing.assert_close(drawn, x / 2)


def asked_about(steps: int, on_tile: Callable[[int], None] | None = None) -> list[list[float]]:
    """The rows at which the tiles of each step started."""
    x = torch.arange(32.0)[:, None].expand(1, 16, 32, 32)
    rows: list[float] = []

    def noting(x: Tensor, sigma: Tensor) -> Tensor:
        rows.append(float(x[0, 0, 0, 0]))
        return x

    denoiser = in_tiles(noting, 16, 16, on_tile)
    for _ in range(steps):
        denoiser(x, SIGMA)
    return [rows[start : start + 9 : 3] for start in range(0, len(rows), 9)]


def test_tiles_lie_elsewhere_at_every_step_and_the_same_in_every_drawing() -> None:
    steps = asked_about(8)
    assert steps == asked_about(8)
    assert all(before != after for before, after in pairwise(steps))
    assert len({middle for _, middle, _ in steps}) >= 4
    assert {(first, last) for first, _, last in steps} == {(0, 16)}


def test_tiles_of_which_something_is_remembered_stay_where_they_are() -> None:
    numbers: list[int] = []
    assert asked_about(3, numbers.append) == 3 * [[0, 8, 16]]
    assert numbers == 3 * list(range(9))
