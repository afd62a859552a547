"""The settings of ER-SDE, against solvers of other kinds and exact solutions."""

from itertools import pairwise
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from inference.sampling import initial_noise, sample, sigmas
from inference.sampling.noise import white_noise
from inference.solver_settings import ErSdeSettings

SHAPE = (16, 2, 4)
SCHEDULE = sigmas("simple", 12)
START = initial_noise(5, 1, *SHAPE)


def bell(x: Tensor, sigma: Tensor) -> Tensor:
    """The exact x0 where every value of a latent is drawn from a normal distribution of mean 0.3, deviation 0.5."""
    alpha = 1 - sigma
    return 0.3 + 0.25 * alpha / (0.25 * alpha**2 + sigma**2) * (x - 0.3 * alpha)


def drawn(settings: ErSdeSettings | None, schedule: Tensor = SCHEDULE) -> Tensor:
    return sample("er_sde", bell, schedule[0] * START, schedule, [5], er_sde=settings)


def test_without_settings_it_is_the_usual_one_bit_by_bit() -> None:
    assert torch.equal(drawn(None), drawn(ErSdeSettings()))


def test_the_usual_one_does_not_use_eta() -> None:
    assert torch.equal(drawn(None), drawn(ErSdeSettings(eta=0.3)))


def test_the_ode_of_one_stage_is_eulers_method() -> None:
    low = sigmas("simple", 12, denoise=0.8)
    x = low[0] * START
    euler = sample("euler", bell, x, low, [5])
    ode = sample("er_sde", bell, x, low, [5], er_sde=ErSdeSettings("ODE", 1))
    torch.testing.assert_close(ode, euler, atol=1e-5, rtol=0)
    reverse = sample("er_sde", bell, x, low, [5], er_sde=ErSdeSettings("Reverse-time SDE", 1, eta=0.0))
    assert torch.equal(reverse, ode)


def test_each_stage_brings_the_ode_nearer_to_its_solution() -> None:
    schedule = torch.linspace(0.9, 0.1, 17)
    exact = sample("heun", bell, START, torch.linspace(0.9, 0.1, 401), [5])
    errors = [
        float((sample("er_sde", bell, START, schedule, [5], er_sde=ErSdeSettings("ODE", stages)) - exact).abs().max())
        for stages in (1, 2, 3)
    ]
    assert errors[0] > 4 * errors[1] > 4.8 * errors[2]  # the third by little: its integral is a sum of 200 points


@pytest.mark.parametrize("eta", [0.5, 1.0, 2.0])
def test_the_reverse_time_sde_of_one_stage_is_its_exact_step_for_a_constant_x0(eta: float) -> None:
    low = sigmas("simple", 12, denoise=0.8)
    x = low[0] * START
    settings = ErSdeSettings("Reverse-time SDE", 1, eta=eta, s_noise=0.7)
    noise = white_noise([5], x)
    by_hand = x
    for sigma, sigma_next in pairwise(low.tolist()):
        x0 = bell(by_hand, torch.tensor(sigma))
        if sigma_next == 0:
            by_hand = x0
            break
        ratio = sigma_next * (1 - sigma) / (sigma * (1 - sigma_next))
        kept = ratio ** (1 + eta) * (1 - sigma_next) / (1 - sigma)
        fresh = sigma_next * (1 - ratio ** (2 * eta)) ** 0.5
        by_hand = kept * by_hand + (1 - sigma_next) * (1 - ratio ** (1 + eta)) * x0
        by_hand = by_hand + 0.7 * fresh * noise(sigma, sigma_next)
    torch.testing.assert_close(sample("er_sde", bell, x, low, [5], er_sde=settings), by_hand, atol=1e-4, rtol=0)


def test_without_noise_the_seed_does_not_matter() -> None:
    silent = ErSdeSettings(s_noise=0.0)
    assert torch.equal(
        sample("er_sde", bell, START, SCHEDULE, [5], er_sde=silent),
        sample("er_sde", bell, START, SCHEDULE, [6], er_sde=silent),
    )


@pytest.mark.parametrize("solver_type", ["ER-SDE", "Reverse-time SDE", "ODE"])
@pytest.mark.parametrize("eta", [0.0, 1.0, 100.0])
def test_every_setting_gives_numbers(solver_type: str, eta: float) -> None:
    for stages in (1, 2, 3):
        assert drawn(ErSdeSettings(solver_type, stages, eta, 1.5)).isfinite().all()


@pytest.mark.parametrize(
    "settings", [ErSdeSettings("SDE"), ErSdeSettings(max_stage=4), ErSdeSettings(eta=-1.0), ErSdeSettings(s_noise=101)]
)
def test_settings_that_there_are_not_are_refused(settings: ErSdeSettings) -> None:
    with pytest.raises(ValueError, match="er_sde has the"):
        drawn(settings)


def test_another_sampler_takes_none() -> None:
    with pytest.raises(ValueError, match="euler does not use er_sde"):
        sample("euler", bell, START, SCHEDULE, [5], er_sde=ErSdeSettings())


def scaled(solver_type: str, eta: float, noise_to_signal: np.ndarray) -> np.ndarray:
    """The noise scale of the paper (arXiv 2309.06169), as a function of sigma / alpha."""
    if solver_type == "ODE":
        return noise_to_signal
    if solver_type == "Reverse-time SDE":
        return noise_to_signal ** (1 + eta)
    return noise_to_signal * (np.exp(noise_to_signal**0.3) + 10)


def in_float64(settings: ErSdeSettings, schedule: Tensor, x: Tensor) -> np.ndarray:
    """The solver of the paper's algorithms 1 to 3 for a rectified flow, written down again."""
    noise = white_noise([5], x)
    sigma = schedule.double().numpy()
    ratio = sigma / (1 - sigma)
    y = x.double().numpy()
    x0s: list[np.ndarray] = []
    slopes: list[np.ndarray] = []
    for i in range(len(sigma) - 1):
        x0s.append(bell(torch.from_numpy(y), torch.tensor(sigma[i], dtype=torch.float64)).numpy())
        if sigma[i + 1] == 0:
            return x0s[-1]
        now, after = ratio[i], ratio[i + 1]
        phi_now, phi_after = (scaled(settings.solver_type, settings.eta, value) for value in (now, after))
        alpha, kept = 1 - sigma[i + 1], phi_after / phi_now
        step = after - now
        y = alpha * (kept * y / (1 - sigma[i]) + (1 - kept) * x0s[-1])
        points = after - step * np.arange(200) / 200
        weights = 1 / scaled(settings.solver_type, settings.eta, points)
        if settings.max_stage >= 2 and i >= 1:
            slopes.append((x0s[-1] - x0s[-2]) / (now - ratio[i - 1]))
            y = y + alpha * (step + phi_after * -step / 200 * weights.sum()) * slopes[-1]
        if settings.max_stage >= 3 and i >= 2:
            bend = (slopes[-1] - slopes[-2]) / ((now - ratio[i - 2]) / 2)
            y = y + alpha * (step**2 / 2 + phi_after * -step / 200 * ((points - now) * weights).sum()) * bend
        if settings.solver_type != "ODE" and settings.s_noise:
            fresh = np.sqrt(max(0.0, after**2 - (now * kept) ** 2))
            drawn_noise = noise(float(schedule[i]), float(schedule[i + 1])).double().numpy()
            y = y + alpha * settings.s_noise * fresh * drawn_noise
    return y


@pytest.mark.parametrize("stages", [1, 2, 3])
@pytest.mark.parametrize(
    ("solver_type", "eta", "s_noise"),
    [
        ("ER-SDE", 1.0, 1.0),
        ("ER-SDE", 1.0, 0.6),
        ("Reverse-time SDE", 1.0, 1.0),
        ("Reverse-time SDE", 0.4, 0.8),
        ("ODE", 1.0, 1.0),
    ],
)
def test_every_setting_is_the_papers_solver_in_float64(
    solver_type: Literal["ER-SDE", "Reverse-time SDE", "ODE"], eta: float, s_noise: float, stages: int
) -> None:
    settings = ErSdeSettings(solver_type, stages, eta, s_noise)
    schedule = sigmas("simple", 12, denoise=0.8)
    x = schedule[0] * START
    found = sample("er_sde", bell, x, schedule, [5], er_sde=settings).double().numpy()
    np.testing.assert_allclose(found, in_float64(settings, schedule, x), atol=1e-4, rtol=0)
