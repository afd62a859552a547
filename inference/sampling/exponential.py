"""Solvers that integrate in lambda: ER-SDE, SEEDS and the exponential Heun method."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from inference.sampling.noise import Noise
from inference.sampling.solver import Denoise, Steps, between, finite_lambda, half_log_snr, phi_1, phi_2
from inference.solver_settings import ErSdeSettings


class _ErSdeNoise:
    """The paper's shape of the noise: phi(v) = v * (exp(v ** 0.3) + 10)."""

    def calm(self, v: float, v_next: float) -> float:
        """phi(v_next) / phi(v) * v / v_next: the share of x's noise that remains."""
        return (math.exp(v_next**0.3) + 10) / (math.exp(v**0.3) + 10)

    def weights(self, points: NDArray[np.float64], width: float, v_next: float) -> NDArray[np.float64]:
        """phi(v_next) / phi at points above v_next, times the width of each."""
        excess = math.exp(v_next**0.3) + 10
        weights: NDArray[np.float64] = width * v_next * excess / (points * (np.exp(points**0.3) + 10))
        return weights


@dataclass(frozen=True)
class _ReverseTimeNoise:
    """The noise of the reverse-time SDE, phi(v) = v ** (eta + 1) (arXiv 2309.06169, section 4); eta 0 is the ODE."""

    eta: float

    def calm(self, v: float, v_next: float) -> float:
        return float((v_next / v) ** self.eta)

    def weights(self, points: NDArray[np.float64], width: float, v_next: float) -> NDArray[np.float64]:
        weights: NDArray[np.float64] = width * (v_next / points) ** (self.eta + 1)
        return weights


_USUAL = ErSdeSettings()


def er_sde(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    noise: Noise,
    shift: float,
    settings: ErSdeSettings = _USUAL,
) -> Steps:
    """Extended Reverse-Time SDE solver of order `max_stage` (Cui et al. 2023, arXiv 2309.06169).

    In the paper's variable v = sigma / alpha the solver integrates 1 / phi(v) and (v - v_s) / phi(v) over the step,
    by the left-hand rule on 200 points, where phi(v) shapes the noise.
    """
    usual = settings.solver_type == "ER-SDE"
    shape = _ErSdeNoise() if usual else _ReverseTimeNoise(0.0 if settings.solver_type == "ODE" else settings.eta)
    sigmas = finite_lambda(sigmas, shift)
    v = [sigma / (1 - sigma) for sigma in sigmas]
    last_x0 = last_slope = x
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x0 = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        alpha, dv = 1 - sigma_next, v[i + 1] - v[i]
        calm = shape.calm(v[i], v[i + 1])
        phi_ratio = calm * v[i + 1] / v[i]
        moved = sigma_next / sigma * calm * x + alpha * (1 - phi_ratio) * x0
        if i >= 1 and settings.max_stage >= 2:
            points = v[i + 1] - dv * np.arange(200) / 200
            weights = shape.weights(points, -dv / 200, v[i + 1])
            slope = (x0 - last_x0) / (v[i] - v[i - 1])
            moved = moved + alpha * (dv + float(weights.sum())) * slope
            if i >= 2 and settings.max_stage >= 3:
                curve = (slope - last_slope) / ((v[i] - v[i - 2]) / 2)
                moved = moved + alpha * (dv**2 / 2 + float(weights @ (points - v[i]))) * curve
            last_slope = slope
        spread = settings.s_noise * math.sqrt(1 - calm**2)
        x = moved + sigma_next * spread * noise(sigma, sigma_next) if spread else moved
        last_x0 = x0
        yield x, x0


def seeds_2(denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, shift: float) -> Steps:
    """SEEDS-2: Stochastic Explicit Exponential Derivative-free Solver of order 2, eta 1
    (Gonzalez et al. 2023, arXiv 2305.14267, algorithm 2)."""
    for sigma, sigma_next in pairwise(finite_lambda(sigmas, shift)):
        x0 = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        step = _ExponentialStep(x, sigma, sigma_next, eta=1.0, noise=noise)
        halfway = between(sigma, sigma_next, 0.5)
        x0_halfway = denoise(step.to(halfway, 0.5, [x0], [phi_1(step.z(0.5))]), halfway)
        x = step.to(sigma_next, 1.0, [x0_halfway], [phi_1(step.z(1.0))])
        yield x, x0


def seeds_3(denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, shift: float) -> Steps:
    """SEEDS-3, which calls the denoiser also at a third and two thirds of the step (arXiv 2305.14267, algorithm 3)."""
    for sigma, sigma_next in pairwise(finite_lambda(sigmas, shift)):
        x0 = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        step = _ExponentialStep(x, sigma, sigma_next, eta=1.0, noise=noise)
        first, second = between(sigma, sigma_next, 1 / 3), between(sigma, sigma_next, 2 / 3)
        x0_first = denoise(step.to(first, 1 / 3, [x0], [phi_1(step.z(1 / 3))]), first)
        share = 2 * phi_2(step.z(2 / 3))
        x_second = step.to(second, 2 / 3, [x0, x0_first], [phi_1(step.z(2 / 3)) - share, share])
        x0_second = denoise(x_second, second)
        share = 1.5 * phi_2(step.z(1.0))
        x = step.to(sigma_next, 1.0, [x0, x0_second], [phi_1(step.z(1.0)) - share, share])
        yield x, x0


def _exp_heun(denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, shift: float, *, eta: float) -> Steps:
    """Heun's method for exponential integrators, in x0: looks ahead to the step's end (Hochbruck & Ostermann 2005)."""
    for sigma, sigma_next in pairwise(finite_lambda(sigmas, shift)):
        x0 = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        step = _ExponentialStep(x, sigma, sigma_next, eta=eta, noise=noise)
        x0_next = denoise(step.to(sigma_next, 1.0, [x0], [phi_1(step.z(1.0))]), sigma_next)
        share = phi_2(step.z(1.0))
        x = step.to(sigma_next, 1.0, [x0, x0_next], [phi_1(step.z(1.0)) - share, share])
        yield x, x0


exp_heun_2_x0 = partial(_exp_heun, eta=0.0)
exp_heun_2_x0_sde = partial(_exp_heun, eta=1.0)


class _ExponentialStep:
    """One step in lambda with the points where it calls the denoiser; the noise at each continues that of the last."""

    def __init__(self, x: Tensor, sigma: float, sigma_next: float, *, eta: float, noise: Noise) -> None:
        self.x, self.sigma, self.eta, self.noise = x, sigma, eta, noise
        self.h = half_log_snr(sigma_next) - half_log_snr(sigma)
        self.reached, self.reached_sigma = 0.0, sigma
        self.drawn: Tensor | None = None

    def z(self, part: float) -> float:
        return -part * self.h * (self.eta + 1)

    def to(self, sigma: float, part: float, x0s: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
        """x at `sigma`, which is `part` of the step away, from x0s with these weights."""
        moved = sigma / self.sigma * math.exp(-part * self.h * self.eta) * self.x
        for weight, x0 in zip(weights, x0s, strict=True):
            moved = moved - (1 - sigma) * weight * x0
        return moved if self.eta == 0 else moved + sigma * self._noise_to(sigma, part)

    def _noise_to(self, sigma: float, part: float) -> Tensor:
        way = (self.reached - part) * self.h * self.eta
        fresh = math.sqrt(-math.expm1(2 * way)) * self.noise(self.reached_sigma, sigma)
        self.drawn = fresh if self.drawn is None else self.drawn * math.exp(way) + fresh
        self.reached, self.reached_sigma = part, sigma
        return self.drawn
