"""Each scheduler against the reference's numbers, on any processor."""

import inspect
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.sampling import SCHEDULERS, sigmas

CASES = json.loads((Path(__file__).parents[2] / "golden" / "cases.json").read_text(encoding="utf-8"))
SCHEDULES = [(name, int(steps)) for name, by_steps in CASES["schedules"].items() for steps in by_steps]
PICTURE_TO_PICTURE = CASES["img2img"] + CASES["img2img_file"]


#: How many of a schedule's values may be one unit in the last place off the reference. Ours are correctly rounded and
#: the same everywhere; the reference's powers, exponentials and tangents are PyTorch's, which are not.
MAX_VALUES_OFF = {("karras", 50): 1, ("exponential", 50): 1, ("kl_optimal", 30): 7, ("kl_optimal", 50): 7}


@pytest.mark.parametrize(("scheduler", "steps"), SCHEDULES)
def test_a_schedule_equals_the_reference_to_the_bit(scheduler: str, steps: int) -> None:
    expected = torch.tensor(CASES["schedules"][scheduler][str(steps)])
    schedule = sigmas(scheduler, steps, shift=CASES["schedules_shift"]["shift"])
    torch.testing.assert_close(schedule, expected, rtol=2**-23, atol=0.0)
    assert (schedule != expected).sum() == MAX_VALUES_OFF.get((scheduler, steps), 0)


@pytest.mark.parametrize("case", PICTURE_TO_PICTURE, ids=lambda case: f"{case['scheduler']}-{case['denoise']}")
def test_part_of_a_schedule_equals_the_reference_to_the_bit(case: dict) -> None:
    assert torch.equal(sigmas(case["scheduler"], case["steps"], denoise=case["denoise"]), torch.tensor(case["sigmas"]))


@pytest.mark.parametrize("capability", ["default", "avx2"])
def test_a_schedule_does_not_depend_on_the_instruction_set(capability: str) -> None:
    script = f"{inspect.getsource(digest)}\nprint(digest())"
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": capability}
    elsewhere = subprocess.check_output([sys.executable, "-c", script], env=environment, text=True)
    assert elsewhere.strip() == digest()


def digest() -> str:
    """Of all schedules of up to 100 steps. It runs in a process of its own, too."""
    import hashlib

    from inference.sampling import SCHEDULERS, sigmas

    schedules = [sigmas(scheduler, steps) for scheduler in SCHEDULERS for steps in range(1, 101)]
    return hashlib.sha256(b"".join(schedule.numpy().tobytes() for schedule in schedules)).hexdigest()


@pytest.mark.parametrize("function", ["exp", "tan"])
def test_the_last_bit_of_float64_never_decides_a_value(monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    scheduler = {"exp": "exponential", "tan": "kl_optimal"}[function]
    schedules = [sigmas(scheduler, steps) for steps in range(1, 101)]
    exact = getattr(math, function)
    for hair in (1 - 2**-50, 1 + 2**-50):  # more than any mathematics library is off
        monkeypatch.setattr(math, function, lambda value, hair=hair: exact(value) * hair)
        assert all(torch.equal(schedule, sigmas(scheduler, steps)) for steps, schedule in enumerate(schedules, start=1))


def test_every_scheduler_has_golden_numbers() -> None:
    assert sorted(SCHEDULERS) == sorted(CASES["schedules"])


@given(st.sampled_from(SCHEDULERS), st.integers(1, 200), st.floats(0.2, 1), st.sampled_from([0.5, 1.0, 3.0, 3.1, 7.0]))
@settings(deadline=None)
def test_a_schedule_falls_strictly_from_at_most_one_to_nothing(
    scheduler: str, steps: int, denoise: float, shift: float
) -> None:
    schedule = sigmas(scheduler, steps, shift, denoise=denoise)
    assert schedule[0] <= 1 + 1e-6
    assert schedule[-1] == 0
    assert (schedule.diff() < 0).all()
    if scheduler not in ("beta", "beta57", "ddim_uniform"):
        assert len(schedule) == steps + 1


@given(st.sampled_from(SCHEDULERS), st.integers(1, 60), st.floats(0.05, 0.99))
@settings(deadline=None)
def test_less_denoising_walks_the_end_of_a_longer_schedule(scheduler: str, steps: int, denoise: float) -> None:
    whole = sigmas(scheduler, int(steps / denoise))
    part = sigmas(scheduler, steps, denoise=denoise)
    assert torch.equal(part, whole[-len(part) :])
    assert len(part) == min(steps + 1, len(whole))


def test_the_shift_moves_the_steps_towards_noise() -> None:
    assert (sigmas("simple", 20, 5.0)[1:-1] > sigmas("simple", 20, 2.0)[1:-1]).all()


def test_an_unknown_scheduler_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'linear' is not known; choose one of simple, beta57, .*kl_optimal"):
        sigmas("linear", 20)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"steps": -3}, "steps is -3"),
        ({"steps": 8, "denoise": 0.0}, "denoise is 0.0"),
        ({"steps": 8, "denoise": 1.01}, "denoise is 1.01"),
        ({"steps": 8, "denoise": float("nan")}, "denoise is nan"),
        ({"steps": 8, "shift": 0.0}, "shift is 0.0"),
        ({"steps": 8, "shift": float("inf")}, "shift is inf"),
    ],
)
def test_a_number_out_of_range_is_refused_by_name(arguments: dict, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        sigmas("simple", **arguments)


@pytest.mark.parametrize(("shape", "scheduler"), [((0.6, 0.6), "beta"), ((0.5, 0.7), "beta57")])
@pytest.mark.parametrize("denoise", [1.0, 0.4])
def test_the_shape_of_a_beta_schedule_can_be_chosen(shape: tuple[float, float], scheduler: str, denoise: float) -> None:
    assert torch.equal(sigmas("beta", 20, denoise=denoise, beta=shape), sigmas(scheduler, 20, denoise=denoise))


def beta_quantiles(probabilities: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    """By summing up the density of the beta distribution in float64 over points that lie close at both ends."""
    angle = np.linspace(0, np.pi / 2, 400_001)
    middle = (angle[1:] + angle[:-1]) / 2
    # x = sin² of an angle, so that the density is bounded for every alpha and beta of at least a half.
    density = 2 * np.sin(middle) ** (2 * alpha - 1) * np.cos(middle) ** (2 * beta - 1)
    total = np.concatenate([[0], np.cumsum(density)])
    return np.sin(np.interp(probabilities, total / total[-1], angle)) ** 2


@pytest.mark.parametrize(("alpha", "beta"), [(0.5, 0.5), (0.9, 0.7), (1.0, 1.0), (2.0, 1.0), (0.8, 3.0), (5.0, 5.0)])
@pytest.mark.parametrize(("steps", "shift"), [(9, 3.0), (31, 3.0), (13, 5.0)])
def test_any_shape_of_a_beta_schedule_takes_the_distributions_quantiles(
    alpha: float, beta: float, steps: int, shift: float
) -> None:
    """Of a thousand timesteps those at the quantiles of evenly spaced probabilities, each shifted, then nothing."""
    quantiles = beta_quantiles(1 - np.arange(steps) / steps, alpha, beta)
    times = np.rint(999 * quantiles)  # with odd numbers of steps there are no ties
    levels = (times + 1) / 1000
    found = sigmas("beta", steps, shift, beta=(alpha, beta)).double().numpy()
    wanted = shift * levels / (1 + (shift - 1) * levels)
    wanted = wanted[np.concatenate([[True], np.diff(times) != 0])]
    np.testing.assert_allclose(found, [*wanted, 0], rtol=0, atol=1e-6)
