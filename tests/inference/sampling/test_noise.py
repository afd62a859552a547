"""Seeded noise is the reference's."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from inference.sampling import initial_noise, sigmas
from inference.sampling.noise import Noise, brownian_noise, white_noise

GOLDEN = Path(__file__).parents[2] / "golden"
CASES = json.loads((GOLDEN / "cases.json").read_text(encoding="utf-8"))["initial_noise"]
EXPECTED = load_file(GOLDEN / "expected.safetensors")
CPU = torch.device("cpu")
#: `torch.randn` gives the same bits with AVX2 and AVX-512. Without, its logarithm and cosine differ by at most 1.4e-6.
NOISE_TOLERANCE = 0.0 if torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512") else 2e-6
SEEDS = [0, 7, 2**63 - 1, 2**64 - 1]


def white(seeds: list[int]) -> Noise:
    return white_noise(seeds, torch.empty(len(seeds), 16, 1, 4, 6))


def brownian(seeds: list[int]) -> Noise:
    return brownian_noise(seeds, torch.empty(len(seeds), 16, 1, 4, 6), [1.0, 0.75, 0.4, 0.1, 0.0], CPU)


@pytest.mark.parametrize("i", range(len(CASES)))
def test_a_seed_gives_the_reference_noise_to_the_bit(i: int) -> None:
    noise = initial_noise(CASES[i]["seed"], CASES[i]["shape"])
    torch.testing.assert_close(noise, EXPECTED[f"initial_noise/{i}"], atol=NOISE_TOLERANCE, rtol=0.0)


def test_a_shape_may_be_given_as_numbers_or_as_one_sequence() -> None:
    assert torch.equal(initial_noise(3, 1, 16, 1, 2, 4), initial_noise(3, [1, 16, 1, 2, 4]))


@pytest.mark.parametrize("source", [white, brownian])
def test_a_picture_gets_the_noise_it_would_get_alone(source) -> None:
    together, alone = source(SEEDS), [source([seed]) for seed in SEEDS]
    for sigma, sigma_next in pairwise([1.0, 0.75, 0.4, 0.1]):
        assert torch.equal(together(sigma, sigma_next), torch.cat([noise(sigma, sigma_next) for noise in alone]))


@pytest.mark.parametrize("source", [white, brownian])
def test_different_seeds_give_different_noise(source) -> None:
    pictures = source([0, 1, 7, 2**63 - 1])(1.0, 0.75)
    assert len(pictures.flatten(1).unique(dim=0)) == 4


def test_white_noise_on_the_cpu_does_not_repeat_the_initial_noise() -> None:
    first = white([7])(1.0, 0.9)
    assert torch.equal(first, initial_noise(8, 1, 16, 1, 4, 6))
    assert not torch.equal(white([7])(1.0, 0.9), initial_noise(7, 1, 16, 1, 4, 6))


@pytest.mark.parametrize("make", [white_noise, lambda seeds, like: brownian_noise(seeds, like, [1.0, 0.4, 0.0], CPU)])
def test_noise_has_unit_variance_and_the_dtype_of_the_latents(make) -> None:
    noise = make([7], torch.empty(1, 16, 1, 64, 64, dtype=torch.bfloat16))(1.0, 0.4)
    assert noise.dtype == torch.bfloat16
    assert noise.float().mean().abs() < 0.01
    assert abs(noise.float().std() - 1) < 0.01


def test_one_brownian_step_is_the_sum_of_the_steps_it_is_cut_into() -> None:
    schedule = sigmas("beta57", 12).tolist()[:-1]
    noise = brownian([7])
    parts = sum((a - b) ** 0.5 * noise(a, b) for a, b in pairwise(schedule) if b >= 0.1)
    last = min(sigma for sigma in schedule if sigma >= 0.1)
    torch.testing.assert_close(parts, (1 - last) ** 0.5 * noise(1.0, last), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("seed", [-1, 2**64])
@pytest.mark.parametrize(
    "use", [lambda seed: initial_noise(seed, 1), lambda seed: white([seed]), lambda s: brownian([s])]
)
def test_a_seed_that_is_not_64_bit_is_refused(use, seed: int) -> None:
    with pytest.raises(ValueError, match=f"seed is {seed}; it must be a whole number from 0 to 18446744073709551615"):
        use(seed)
