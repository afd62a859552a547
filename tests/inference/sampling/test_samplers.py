"""Each sampler against the reference's numbers."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from inference.sampling import (
    SAMPLERS,
    SCHEDULERS,
    draws_alone,
    initial_noise,
    needs_unguided,
    sample,
    sigmas,
)
from inference.sampling.multistep import deis
from inference.sampling.one_step import ddpm
from inference.sampling.samplers import Denoiser
from inference.solver_settings import CALLS_PER_STEP, network_calls

GOLDEN = Path(__file__).parents[2] / "golden"
CASES = json.loads((GOLDEN / "cases.json").read_text(encoding="utf-8"))["samplers"]
EXPECTED = load_file(GOLDEN / "expected.safetensors")
TARGET = EXPECTED["sampler/target"]
OTHERS = json.loads((GOLDEN / "samplers" / "cases.json").read_text(encoding="utf-8"))["cases"]
EXPECTED_OF_OTHERS = load_file(GOLDEN / "samplers" / "expected.safetensors")
MASKED = json.loads((GOLDEN / "masks" / "cases.json").read_text(encoding="utf-8"))["cases"]
EXPECTED_OF_MASKS = load_file(GOLDEN / "masks" / "expected.safetensors")

#: Samplers without noise of their own, of first and of higher order.
FIRST_ORDER = ("euler", "ddim", "euler_cfg_pp", "gradient_estimation", "gradient_estimation_cfg_pp", "heunpp2")
HIGHER_ORDER = (
    *("heun", "dpmpp_2m", "dpmpp_2m_cfg_pp", "res_multistep", "res_multistep_cfg_pp", "deis", "dpm_2", "exp_heun_2_x0"),
    "lms",
)
#: Without noise too: of the reference's weights (ipndm), or with an end above 0.
IPNDM, ADAMS_AT_THE_END = ("ipndm", "ipndm_v"), ("uni_pc", "uni_pc_bh2")
NOISE_LEFT = ("dpm_fast", "dpm_adaptive")
DETERMINISTIC = (*FIRST_ORDER, *HIGHER_ORDER, *IPNDM, *ADAMS_AT_THE_END, *NOISE_LEFT)
#: These reach x0 itself where the schedule ends in 0.
EXACT_AT_THE_END = tuple(name for name in SAMPLERS if name not in (*NOISE_LEFT, *ADAMS_AT_THE_END))
#: The reference's arithmetic of these is that of `latent + sigma * noise`, which is not rectified flow's, or trusts x0.
OF_ANOTHER_DIFFUSION = (
    *("lcm", "ddpm", "res_multistep_ancestral", "res_multistep_ancestral_cfg_pp", "dpmpp_2s_ancestral_cfg_pp"),
)
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


def walk(sampler: str, denoiser: Denoiser, *args: Any, **kwargs: Any) -> Tensor:
    """`sample`, with the denoiser's answer as both predictions where the sampler needs an unguided one too."""
    if not needs_unguided(sampler):
        return sample(sampler, denoiser, *args, **kwargs)
    return sample(sampler, lambda x, sigma: (denoiser(x, sigma),) * 2, *args, **kwargs)


def noise(*seeds: int) -> Tensor:
    return torch.cat([initial_noise(seed, 1, *SHAPE) for seed in seeds])


@pytest.mark.parametrize("i", range(len(CASES)), ids=lambda i: f"{CASES[i]['sampler']}-{CASES[i]['scheduler']}")
def test_a_sampler_equals_the_reference(i: int) -> None:
    case = CASES[i]
    schedule = sigmas(case["scheduler"], case["steps"])
    x = initial_noise(case["seed"], case["shape"]) * schedule[0]
    latent = sample(case["sampler"], golden_denoiser, x, schedule, seeds=[case["seed"]])
    torch.testing.assert_close(latent, EXPECTED[f"samplers/{i}/final"], atol=1e-6, rtol=1e-6)


def wave(shape: list[int], start: int) -> Tensor:
    return torch.sin(0.37 * torch.arange(math.prod(shape)) + start).reshape(shape)


def wavy_denoiser(x: Tensor, sigma: Tensor, start: int = 0) -> Tensor:
    return 0.7 * wave(list(x.shape), start) + 0.1 * torch.tanh(x) * sigma + 0.05 * torch.sin(3 * x)


@pytest.mark.parametrize("i", range(len(OTHERS)), ids=lambda i: f"{OTHERS[i]['sampler']}-{OTHERS[i]['scheduler']}")
def test_a_sampler_equals_the_reference_with_guidance_and_from_a_latent(i: int) -> None:
    case, calls = OTHERS[i], 0

    def denoiser(x: Tensor, sigma: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        nonlocal calls
        calls += 1
        unguided = wavy_denoiser(x, sigma, 1)
        guided = unguided + case["cfg"] * (wavy_denoiser(x, sigma) - unguided)
        return (guided, unguided) if needs_unguided(case["sampler"]) else guided

    start, schedule = EXPECTED_OF_OTHERS[f"{i}/x"], EXPECTED_OF_OTHERS[f"{i}/sigmas"]
    latent = sample(case["sampler"], denoiser, start, schedule, [case["seed"]])
    bound = 1e-5 if case["sampler"] in ADAMS_AT_THE_END else 1e-4
    torch.testing.assert_close(latent, EXPECTED_OF_OTHERS[f"{i}/out"], atol=bound, rtol=0)
    assert calls == case["calls"]


@pytest.mark.parametrize("sampler", ADAMS_AT_THE_END)
@pytest.mark.parametrize("shift", [0.05, 0.1, 1.0])
def test_unipc_is_finite_also_where_the_reference_divides_by_zero(sampler: str, shift: float) -> None:
    """Below a sigma of 0.00024 its alpha is 1 in float32; at shift 1, `normal` ends with a step from 0.001 to 0.001."""
    for scheduler in ("simple", "normal", "exponential"):
        schedule = sigmas(scheduler, 5, shift)
        latent = sample(sampler, small_denoiser, noise(5), schedule, [5], shift=shift)
        assert latent.isfinite().all()


def test_every_sampler_has_golden_numbers() -> None:
    assert set(SAMPLERS) == {case["sampler"] for case in [*CASES, *OTHERS]}


@pytest.mark.parametrize("i", range(len(MASKED)), ids=lambda i: f"{MASKED[i]['sampler']}-{MASKED[i]['mask']}")
def test_a_masked_walk_equals_the_reference_and_keeps_the_latent_outside(i: int) -> None:
    case, (schedule, mask, latent) = (
        MASKED[i],
        (EXPECTED_OF_MASKS[f"{i}/{key}"] for key in ("sigmas", "mask", "latent")),
    )
    start = schedule[0] * initial_noise(case["seed"], case["shape"]) + (1 - schedule[0]) * latent
    masked = {"mask": mask[None, None], "latent": latent, "differential": case["differential"]}

    def denoiser(x: Tensor, sigma: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        if not needs_unguided(case["sampler"]):
            return wavy_denoiser(x, sigma)
        unguided = wavy_denoiser(x, sigma, 1)
        return unguided + case["cfg"] * (wavy_denoiser(x, sigma) - unguided), unguided

    drawn = sample(case["sampler"], denoiser, start, schedule, [case["seed"]], **masked)
    torch.testing.assert_close(drawn, EXPECTED_OF_MASKS[f"{i}/out"], atol=1e-5, rtol=0)
    outside = (EXPECTED_OF_MASKS[f"{i}/latent_mask"] == 0).expand_as(drawn)
    torch.testing.assert_close(drawn[outside], latent[outside])


def test_a_masks_latent_has_the_shape_of_x() -> None:
    x = noise(5, 6)
    for latent in (x[:, :, 0], x[:, :8], torch.cat([x, x[:1]])):
        with pytest.raises(ValueError, match="a mask's latent must have x's shape"):
            sample("euler", small_denoiser, x, sigmas("simple", 2), [5, 6], mask=torch.ones(1, 1, 4, 8), latent=latent)


@pytest.mark.parametrize("mask", [torch.ones(1, 1, 4, 4), torch.ones(2, 1, 4, 8), torch.ones(4, 8)])
def test_a_mask_without_a_latent_or_for_another_batch_is_refused(mask: Tensor) -> None:
    wrong = {"mask": mask} if mask.shape == (1, 1, 4, 4) else {"mask": mask, "latent": noise(7)}
    with pytest.raises(ValueError, match="mask"):
        sample("euler", small_denoiser, noise(5), sigmas("simple", 2), [5], **wrong)


@pytest.mark.parametrize(
    "plain", ["euler", "dpmpp_2m", "res_multistep", "res_multistep_ancestral", "gradient_estimation"]
)
def test_without_guidance_cfg_pp_is_the_plain_sampler(plain: str) -> None:
    schedule = sigmas("simple", 9)
    plainly = sample(plain, small_denoiser, noise(5), schedule, [5])
    torch.testing.assert_close(
        walk(f"{plain}_cfg_pp", small_denoiser, noise(5), schedule, [5]), plainly, atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if not draws_alone(name)])
def test_an_image_in_a_batch_is_the_image_alone(sampler: str) -> None:
    seeds, schedule = [3, 2**63 - 1, 2**64 - 1], sigmas("beta57", 9)
    together = walk(sampler, small_denoiser, noise(*seeds), schedule, seeds)
    alone = [walk(sampler, small_denoiser, noise(seed), schedule, [seed]) for seed in seeds]
    assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_frame_axis_makes_no_difference(sampler: str) -> None:
    schedule = sigmas("simple", 7)
    with_frame = walk(sampler, small_denoiser, noise(5), schedule, [5])
    without = walk(sampler, small_denoiser, noise(5)[:, :, 0], schedule, [5])
    assert torch.equal(with_frame[:, :, 0], without)


def test_a_sampler_that_chooses_its_steps_by_the_image_takes_one_at_a_time() -> None:
    with pytest.raises(ValueError, match="one image at a time"):
        sample("dpm_adaptive", small_denoiser, noise(5, 6), sigmas("simple", 4), [5, 6])


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("sampler", EXACT_AT_THE_END)
def test_a_perfect_denoisers_image_is_returned(sampler: str, scheduler: str) -> None:
    picture = noise(99)
    latent = walk(sampler, lambda x, sigma: picture, noise(5), sigmas(scheduler, 11), [5])
    # ddpm rounds its last step as the reference does, which leaves this much of the noise there.
    torch.testing.assert_close(latent, picture, atol=2e-5 if sampler == "ddpm" else 1e-6, rtol=1e-6)


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
    latent = walk(sampler, small_denoiser, x, schedule, [seed], shift=shift)
    assert latent.isfinite().all()
    assert torch.equal(x, before), "the noise that was handed in has changed"
    assert torch.equal(latent, walk(sampler, small_denoiser, x, schedule, [seed], shift=shift))


@pytest.mark.parametrize("sampler", (*FIRST_ORDER, *HIGHER_ORDER))
def test_four_times_the_steps_bring_a_deterministic_sampler_nearer_the_truth_by_its_order(sampler: str) -> None:
    start = noise(5)
    truth = 0.3 + 0.5 * start

    def error(steps: int) -> float:
        latent = walk(sampler, bell_denoiser, start, sigmas("beta", steps), [5])
        return float((latent - truth).abs().max())

    assert error(160) < 0.03
    assert error(160) < error(40) / (3.5 if sampler in FIRST_ORDER else 8)


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name not in (*DETERMINISTIC, *OF_ANOTHER_DIFFUSION)])
def test_a_stochastic_sampler_draws_from_the_true_distribution(sampler: str) -> None:
    start = initial_noise(5, 1, 16, 1, 48, 48)
    latent = walk(sampler, bell_denoiser, start, sigmas("beta", 80), [5])
    assert abs(latent.mean() - 0.3) < 0.01
    assert abs(latent.std() - 0.5) < 0.04


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_only_stochastic_samplers_heed_the_seed(sampler: str) -> None:
    first, second = (walk(sampler, small_denoiser, noise(5), sigmas("simple", 8), [seed]) for seed in (1, 2))
    assert torch.equal(first, second) == (sampler in DETERMINISTIC)


@pytest.mark.parametrize("sampler", EXACT_AT_THE_END)
def test_a_schedule_may_end_above_zero(sampler: str) -> None:
    picture, schedule = noise(99), sigmas("simple", 12)
    halfway = walk(sampler, lambda x, sigma: picture, noise(5), schedule[:7], [5])
    assert not torch.allclose(halfway, picture, atol=0.1)
    latent = walk(sampler, lambda x, sigma: picture, halfway, schedule[6:], [6])
    torch.testing.assert_close(latent, picture, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_the_denoiser_is_asked_as_often_as_the_cost_says(sampler: str, steps: int) -> None:
    asked: list[float] = []

    def denoiser(x: Tensor, sigma: Tensor) -> Tensor:
        assert sigma.dtype == torch.float32 and sigma.ndim == 0
        asked.append(float(sigma))
        return small_denoiser(x, sigma)

    walk(sampler, denoiser, noise(5), sigmas("simple", steps), [5])
    if sampler != "dpm_adaptive":
        assert network_calls(sampler, steps) == len(asked)
    assert all(0 < sigma <= 1 for sigma in asked)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_on_step_is_called_with_every_step_and_the_last_x0_is_the_latent(sampler: str) -> None:
    told: list[tuple[int, int]] = []
    estimates: list[Tensor] = []

    def on_step(step: int, steps: int, x0: Tensor) -> None:
        told.append((step, steps))
        estimates.append(x0)

    latent = walk(sampler, small_denoiser, noise(5), sigmas("simple", 6), [5], on_step=on_step)
    if sampler in NOISE_LEFT:
        assert [told[0], told[-1]] == [(1, 6), (6, 6)] and told == sorted(told)
    else:
        assert told == [(step, 6) for step in range(1, 7)]
    if sampler in EXACT_AT_THE_END:
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
        walk(sampler, denoiser, noise(5), sigmas("simple", 20), [5], on_step=on_step)
    assert len(asked) <= 3 * (3 if sampler == "dpm_fast" else CALLS_PER_STEP.get(sampler, 1))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_first_sigma_a_hair_above_one_is_walked_from(sampler: str) -> None:
    schedule = sigmas("simple", 4, ROUNDS_UP)
    assert schedule[0] > 1
    assert walk(sampler, small_denoiser, noise(5), schedule, [5], shift=ROUNDS_UP).isfinite().all()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_equal_neighbours_in_a_schedule_are_one(sampler: str) -> None:
    once, twice = torch.tensor([0.9, 0.6, 0.3, 0.0]), torch.tensor([0.9, 0.6, 0.6, 0.3, 0.3, 0.0])
    expected = walk(sampler, small_denoiser, noise(5), once, [5])
    assert torch.equal(walk(sampler, small_denoiser, noise(5), twice, [5]), expected)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_walk_of_no_steps_returns_x(sampler: str) -> None:
    x = noise(5)
    for sigma in (1.0, 0.0):
        assert torch.equal(walk(sampler, small_denoiser, x, torch.tensor([sigma]), [5]), x)


def test_an_unknown_sampler_is_refused_with_the_known_ones() -> None:
    for ask in (
        needs_unguided,
        draws_alone,
        lambda name: sample(name, small_denoiser, noise(5), sigmas("simple", 2), [5]),
    ):
        with pytest.raises(ValueError, match=r"'plms' is not known; choose one of er_sde, euler_a, .*uni_pc_bh2"):
            ask("plms")


def test_seeds_that_do_not_fit_the_batch_are_refused() -> None:
    with pytest.raises(ValueError, match="1 seeds were given for 2 images"):
        sample("euler", small_denoiser, noise(5, 6), sigmas("simple", 2), [5])


@pytest.mark.parametrize(
    "bad", [[], [0.5, 0.6, 0.0], [1.5, 0.5, 0.0], [0.5, -0.1], [1.0, float("nan"), 0.0], [[1.0, 0.0]]]
)
def test_sigmas_that_do_not_fall_from_one_to_nothing_are_refused(bad: list) -> None:
    with pytest.raises(ValueError, match="sigmas must be one row of numbers that fall"):
        sample("euler", small_denoiser, noise(5), torch.tensor(bad), [5])


@pytest.mark.parametrize(
    ("levels", "reference"),
    [
        ((0.0017, 0.0013, 0.001), (0.00011717250163201243, -0.0004325265472289175)),
        ((0.006, 0.0052, 0.0045, 0.0039), (-0.0001610567414900288, 0.0005975401145406067, -0.001031964784488082)),
        ((0.9, 0.7, 0.5, 0.3), (-0.11791742593050003, 0.3312571048736572, -0.4133397936820984)),
    ],
)
def test_deis_rounds_as_the_reference_does_at_small_sigmas(
    levels: tuple[float, ...], reference: tuple[float, ...]
) -> None:
    """Each step has a slope of its own, of which the last step shows the weight. Exact ones differ by up to 5 %."""
    count = len(levels) - 1
    slopes = iter(torch.eye(count))
    x = [
        torch.zeros(count),
        *(x for x, _ in deis(lambda x, sigma: x - sigma * next(slopes), torch.zeros(count), levels)),
    ]
    assert (x[-1] - x[-2]).tolist() == pytest.approx(reference, rel=1e-5)


@pytest.mark.parametrize(
    ("levels", "of_x", "of_noise"),
    [
        ((0.0012, 0.001), 0.6677664518356323, 0.0005638189031742513),
        ((0.003, 0.001), 0.10961080342531204, 0.0009230113355442882),
        ((0.7, 0.4), 0.326530396938324, 0.32826071977615356),
    ],
)
def test_ddpm_rounds_as_the_reference_does_at_small_sigmas(
    levels: tuple[float, float], of_x: float, of_noise: float
) -> None:
    def step(start: float, noise: float) -> float:
        [(x, _)] = ddpm(lambda x, _: 0 * x, torch.tensor(start), levels, lambda *_: torch.tensor(noise), 3.0)
        return float(x)

    assert step(1.0, 0.0) == pytest.approx(of_x, rel=1e-5)
    assert step(0.0, 1.0) == pytest.approx(of_noise, rel=1e-5)


@pytest.mark.parametrize("solver", [deis, ddpm])
def test_sigmas_that_float32_cannot_tell_apart_break_nothing(solver: Any) -> None:
    levels = [1e-4, 9.9999e-5, 9.9998e-5, 9.9997e-5, 0.0]
    target = torch.tensor([0.5, -1.0])
    x = target
    for x, _ in solver(lambda x, sigma: target, target + levels[0], levels, lambda *_: torch.zeros(2), 3.0):
        assert x.isfinite().all()
    assert torch.allclose(x, target, atol=1e-3)
