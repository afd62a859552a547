import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from inference.sampling import SAMPLERS, SCHEDULERS, calls_per_step, initial_noise, sample, sigmas

GOLDEN = Path(__file__).parents[2] / "golden"
CASES = json.loads((GOLDEN / "cases.json").read_text())["samplers"]
EXPECTED = load_file(GOLDEN / "expected.safetensors")
TARGET = EXPECTED["sampler/target"]
DETERMINISTIC = ("euler", "heun", "dpmpp_2m", "res_multistep", "deis")
SHAPE = (16, 1, 2, 4)
ROUNDS_UP = 2.9506894563730004  # a shift whose first sigma comes out a hair above 1 in float32


def golden_denoiser(x: Tensor, sigma: Tensor) -> Tensor:
    return 0.7 * TARGET + 0.1 * torch.tanh(x) * sigma


def small_denoiser(x: Tensor, sigma: Tensor) -> Tensor:
    return 0.3 + 0.5 * x * (1 - sigma)


def bell_denoiser(x: Tensor, sigma: Tensor) -> Tensor:
    """The exact x0 where every value of a latent is drawn from a normal distribution of mean 0.3, deviation 0.5."""
    alpha = 1 - sigma
    return 0.3 + 0.25 * alpha / (0.25 * alpha**2 + sigma**2) * (x - 0.3 * alpha)


def noise(*seeds: int) -> Tensor:
    return torch.cat([initial_noise(seed, 1, *SHAPE) for seed in seeds])


@pytest.mark.parametrize("i", range(len(CASES)), ids=lambda i: f"{CASES[i]['sampler']}-{CASES[i]['scheduler']}")
def test_a_sampler_equals_the_reference(i: int) -> None:
    case = CASES[i]
    schedule = sigmas(case["scheduler"], case["steps"])
    x = initial_noise(case["seed"], case["shape"]) * schedule[0]
    latent = sample(case["sampler"], golden_denoiser, x, schedule, seeds=[case["seed"]])
    torch.testing.assert_close(latent, EXPECTED[f"samplers/{i}/final"], atol=1e-6, rtol=1e-6)


def test_every_sampler_has_golden_numbers() -> None:
    assert set(SAMPLERS) == {case["sampler"] for case in CASES}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_picture_in_a_batch_is_the_picture_alone(sampler: str) -> None:
    seeds, schedule = [3, 2**63 - 1, 2**64 - 1], sigmas("beta57", 9)
    together = sample(sampler, small_denoiser, noise(*seeds), schedule, seeds)
    alone = [sample(sampler, small_denoiser, noise(seed), schedule, [seed]) for seed in seeds]
    assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_frame_axis_makes_no_difference(sampler: str) -> None:
    schedule = sigmas("simple", 7)
    with_frame = sample(sampler, small_denoiser, noise(5), schedule, [5])
    without = sample(sampler, small_denoiser, noise(5)[:, :, 0], schedule, [5])
    assert torch.equal(with_frame[:, :, 0], without)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_denoiser_that_knows_the_picture_is_believed(sampler: str, scheduler: str) -> None:
    picture = noise(99)
    latent = sample(sampler, lambda x, sigma: picture, noise(5), sigmas(scheduler, 11), [5])
    torch.testing.assert_close(latent, picture, atol=1e-6, rtol=1e-6)


@given(
    st.sampled_from(SAMPLERS),
    st.sampled_from(SCHEDULERS),
    st.integers(1, 60),
    st.one_of(st.just(1.0), st.floats(0.03, 1)),
    st.integers(0, 2**64 - 1),
    st.sampled_from([1.0, 3.0, ROUNDS_UP, 8.0]),
)
@settings(deadline=None, max_examples=60)
def test_every_walk_is_finite_and_repeatable(
    sampler: str, scheduler: str, steps: int, denoise: float, seed: int, shift: float
) -> None:
    schedule = sigmas(scheduler, steps, shift, denoise=denoise)
    before = noise(1)
    x = before.clone()
    latent = sample(sampler, small_denoiser, x, schedule, [seed], shift=shift)
    assert latent.isfinite().all()
    assert torch.equal(x, before), "the noise that was handed in has changed"
    assert torch.equal(latent, sample(sampler, small_denoiser, x, schedule, [seed], shift=shift))


@pytest.mark.parametrize("sampler", DETERMINISTIC)
def test_four_times_the_steps_bring_a_deterministic_sampler_nearer_the_truth_by_its_order(sampler: str) -> None:
    start = noise(5)
    truth = 0.3 + 0.5 * start

    def error(steps: int) -> float:
        latent = sample(sampler, bell_denoiser, start, sigmas("beta", steps), [5])
        return float((latent - truth).abs().max())

    assert error(160) < 0.03
    assert error(160) < error(40) / (3.5 if sampler == "euler" else 8)


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name not in (*DETERMINISTIC, "lcm")])
def test_a_stochastic_sampler_draws_from_the_true_distribution(sampler: str) -> None:
    start = initial_noise(5, 1, 16, 1, 48, 48)
    latent = sample(sampler, bell_denoiser, start, sigmas("beta", 80), [5])
    assert abs(latent.mean() - 0.3) < 0.01
    assert abs(latent.std() - 0.5) < 0.04


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_only_stochastic_samplers_heed_the_seed(sampler: str) -> None:
    first, second = (sample(sampler, small_denoiser, noise(5), sigmas("simple", 8), [seed]) for seed in (1, 2))
    assert torch.equal(first, second) == (sampler in DETERMINISTIC)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_walk_may_stop_short_of_nothing(sampler: str) -> None:
    picture, schedule = noise(99), sigmas("simple", 12)
    halfway = sample(sampler, lambda x, sigma: picture, noise(5), schedule[:7], [5])
    assert not torch.allclose(halfway, picture, atol=0.1)
    latent = sample(sampler, lambda x, sigma: picture, halfway, schedule[6:], [6])
    torch.testing.assert_close(latent, picture, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_the_denoiser_is_asked_as_often_as_the_cost_says(sampler: str, steps: int) -> None:
    asked: list[float] = []

    def denoiser(x: Tensor, sigma: Tensor) -> Tensor:
        assert sigma.dtype == torch.float32 and sigma.ndim == 0
        asked.append(float(sigma))
        return small_denoiser(x, sigma)

    sample(sampler, denoiser, noise(5), sigmas("simple", steps), [5])
    assert len(asked) == calls_per_step(sampler) * (steps - 1) + 1
    assert all(0 < sigma <= 1 for sigma in asked)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_on_step_is_told_of_every_step_and_the_last_x0_is_the_latent(sampler: str) -> None:
    told: list[tuple[int, int]] = []
    estimates: list[Tensor] = []

    def on_step(step: int, steps: int, x0: Tensor) -> None:
        told.append((step, steps))
        estimates.append(x0)

    latent = sample(sampler, small_denoiser, noise(5), sigmas("simple", 6), [5], on_step=on_step)
    assert told == [(step, 6) for step in range(1, 7)]
    torch.testing.assert_close(estimates[-1], latent)
    assert all(x0.shape == latent.shape for x0 in estimates)


class StopSampling(Exception):
    pass


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_on_step_cancels_by_raising_within_one_step(sampler: str) -> None:
    asked: list[Tensor] = []

    def denoiser(x: Tensor, sigma: Tensor) -> Tensor:
        asked.append(sigma)
        return x

    def on_step(step: int, steps: int, x0: Tensor) -> None:
        if step == 3:
            raise StopSampling

    with pytest.raises(StopSampling):
        sample(sampler, denoiser, noise(5), sigmas("simple", 20), [5], on_step=on_step)
    assert len(asked) <= 3 * calls_per_step(sampler)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_first_sigma_a_hair_above_one_is_walked_from(sampler: str) -> None:
    schedule = sigmas("simple", 4, ROUNDS_UP)
    assert schedule[0] > 1
    assert sample(sampler, small_denoiser, noise(5), schedule, [5], shift=ROUNDS_UP).isfinite().all()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_equal_neighbours_in_a_schedule_are_one(sampler: str) -> None:
    once, twice = torch.tensor([0.9, 0.6, 0.3, 0.0]), torch.tensor([0.9, 0.6, 0.6, 0.3, 0.3, 0.0])
    expected = sample(sampler, small_denoiser, noise(5), once, [5])
    assert torch.equal(sample(sampler, small_denoiser, noise(5), twice, [5]), expected)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_walk_of_no_steps_returns_x(sampler: str) -> None:
    x = noise(5)
    for sigma in (1.0, 0.0):
        assert torch.equal(sample(sampler, small_denoiser, x, torch.tensor([sigma]), [5]), x)


def test_an_unknown_sampler_is_refused_with_the_known_ones() -> None:
    for ask in (calls_per_step, lambda name: sample(name, small_denoiser, noise(5), sigmas("simple", 2), [5])):
        with pytest.raises(ValueError, match=r"'ddim' is not known; choose one of er_sde, euler_a, .*deis"):
            ask("ddim")


def test_seeds_that_do_not_fit_the_batch_are_refused() -> None:
    with pytest.raises(ValueError, match="1 seeds were given for 2 pictures"):
        sample("euler", small_denoiser, noise(5, 6), sigmas("simple", 2), [5])


@pytest.mark.parametrize(
    "bad", [[], [0.5, 0.6, 0.0], [1.5, 0.5, 0.0], [0.5, -0.1], [1.0, float("nan"), 0.0], [[1.0, 0.0]]]
)
def test_sigmas_that_do_not_fall_from_one_to_nothing_are_refused(bad: list) -> None:
    with pytest.raises(ValueError, match="sigmas must be one row of numbers that fall"):
        sample("euler", small_denoiser, noise(5), torch.tensor(bad), [5])
