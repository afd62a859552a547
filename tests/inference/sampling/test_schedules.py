import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.sampling import SCHEDULERS, sigmas

CASES = json.loads((Path(__file__).parents[2] / "golden" / "cases.json").read_text())
SCHEDULES = [(name, int(steps)) for name, by_steps in CASES["schedules"].items() for steps in by_steps]
PICTURE_TO_PICTURE = CASES["img2img"] + CASES["img2img_file"]


LAST_BIT = {"exponential": 2**-23, "kl_optimal": 2**-23}
"""PyTorch's exp and tan differ in the last bit from one kind of processor to the next, with any program."""


@pytest.mark.parametrize(("scheduler", "steps"), SCHEDULES)
def test_a_schedule_equals_the_reference_to_the_bit(scheduler: str, steps: int) -> None:
    expected = torch.tensor(CASES["schedules"][scheduler][str(steps)])
    schedule = sigmas(scheduler, steps, shift=CASES["schedules_shift"]["shift"])
    torch.testing.assert_close(schedule, expected, rtol=LAST_BIT.get(scheduler, 0.0), atol=0.0)


@pytest.mark.parametrize("case", PICTURE_TO_PICTURE, ids=lambda case: f"{case['scheduler']}-{case['denoise']}")
def test_part_of_a_schedule_equals_the_reference_to_the_bit(case: dict) -> None:
    assert torch.equal(sigmas(case["scheduler"], case["steps"], denoise=case["denoise"]), torch.tensor(case["sigmas"]))


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
