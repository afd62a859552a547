"""Solvers that predict a step from the x0s of the steps before and correct it with the next one."""

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import cast

import numpy as np
import torch
from torch import Tensor

from inference.sampling.noise import Noise
from inference.sampling.schedules import shift_time
from inference.sampling.solver import Denoise, Steps, finite_lambda, half_log_snr, lagrange, weighted

#: UniPC ends here instead of at 0, where its logarithm of the signal-to-noise ratio would be infinite.
UNIPC_END = 0.001


def _sa_solver(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, shift: float, *, evaluate_again: bool
) -> Steps:
    """Stochastic Adams solver (Xue et al. 2023, arXiv 2309.05019, algorithm 1).

    Orders 3 (predictor) and 4 (corrector), fewer in the first and last steps; stochastic (tau = 1) only where the
    next sigma belongs to a time between 0.2 and 0.8. `evaluate_again` asks the denoiser after each correction too.
    """
    sigmas = finite_lambda(sigmas, shift)
    lowest, highest = shift_time(0.2, shift), shift_time(0.8, shift)
    x0s: list[Tensor] = []
    predicted, tau, added = x, 0.0, torch.zeros_like(x)
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x0 = denoise(predicted, sigma)
        x0s = [*x0s[-3:], x0]
        steps_left = len(sigmas) - 1 - i if sigmas[-1] == 0 else len(sigmas)
        if i == 0:
            x = predicted
        else:
            order = min(4, len(x0s), steps_left)
            x = added + _adams_step(x, x0s[-order:], sigmas[i - order + 1 : i + 1], sigmas[i - 1], sigma, tau)
            if evaluate_again:
                x0 = x0s[-1] = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        order = min(3, len(x0s), steps_left - 1)
        tau = 1.0 if lowest <= sigma_next <= highest else 0.0
        predicted = _adams_step(x, x0s[-order:], sigmas[i - order + 1 : i + 1], sigma, sigma_next, tau)
        if tau:
            h = half_log_snr(sigma_next) - half_log_snr(sigma)
            added = sigma_next * math.sqrt(-math.expm1(-2 * tau**2 * h)) * noise(sigma, sigma_next)
            predicted = predicted + added
        else:
            added = torch.zeros_like(x)
        yield predicted, x0


sa_solver = partial(_sa_solver, evaluate_again=False)
sa_solver_pece = partial(_sa_solver, evaluate_again=True)


def _uni_pc(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, shift: float, *, exponential: bool
) -> Steps:
    """UniPC of order 3 in x0 (Zhao et al. 2023, arXiv 2302.04867), B(h) = h, or e**h - 1 where `exponential`.

    It walks the variance-preserving form of `latent + sigma * noise`, whose alpha is `1 / sqrt(1 + sigma**2)`.
    """
    if len(sigmas) == 1:
        return
    walk = [*sigmas[:-1], UNIPC_END] if sigmas[-1] == 0 else list(sigmas)
    steps = len(walk) - 1
    max_order = max(1, min(3, steps - 1))
    x0s = [denoise(x, walk[0])]
    y = x / math.hypot(1, walk[0])
    for i, sigma_next in enumerate(walk[1:], start=1):
        order = min(max_order, i, steps + 1 - i)
        step = _UniPcStep(y, x0s[-order:], walk[i - order : i], sigma_next, exponential)
        y = step.predicted()
        yield y * math.hypot(1, sigma_next), x0s[-1]
        if i < steps:
            x0s = [*x0s[-2:], denoise(y * math.hypot(1, sigma_next), sigma_next)]
            y = step.corrected(x0s[-1])


uni_pc = partial(_uni_pc, exponential=False)
uni_pc_bh2 = partial(_uni_pc, exponential=True)


class _UniPcStep:
    """One step of UniPC from walked[-1] to sigma_next, with the x0s at the walked sigmas, the last of them newest."""

    def __init__(
        self, y: Tensor, x0s: Sequence[Tensor], walked: Sequence[float], sigma_next: float, exponential: bool
    ) -> None:
        sigma, self.order, self.x0 = walked[-1], len(x0s), x0s[-1]
        h = math.log(sigma / sigma_next)
        self.parts = [math.log(sigma / other) / h for other in reversed(walked[:-1])]
        self.changes = [(other - self.x0) / part for other, part in zip(reversed(x0s[:-1]), self.parts, strict=True)]
        self.alpha = 1 / math.hypot(1, sigma_next)
        kept = (sigma_next * self.alpha) / (sigma / math.hypot(1, sigma))
        self.base = kept * y - self.alpha * math.expm1(-h) * self.x0
        self.b_h = math.expm1(-h) if exponential else -h
        self.integrals = _phi_integrals(-h, self.order, self.b_h)

    def predicted(self) -> Tensor:
        if not self.changes:
            return self.base
        weights = [0.5] if self.order == 2 else self._weights(self.parts)
        return self.base - self.alpha * self.b_h * weighted(self.changes, weights)

    def corrected(self, x0_next: Tensor) -> Tensor:
        weights = [0.5] if self.order == 1 else self._weights([*self.parts, 1.0])
        change = weighted([*self.changes, x0_next - self.x0], weights)
        return self.base - self.alpha * self.b_h * change

    def _weights(self, parts: Sequence[float]) -> list[float]:
        powers = np.vander(np.array(parts), increasing=True).T
        return cast(list[float], np.linalg.solve(powers, self.integrals[: len(parts)]).tolist())


def _phi_integrals(z: float, order: int, b_h: float) -> list[float]:
    """k! * z * phi_(k+1)(z) / B(h) for k = 1 … order."""
    phi, factorial, found = math.expm1(z) / z - 1, 1, []
    for k in range(1, order + 1):
        found.append(phi * factorial / b_h)
        factorial *= k + 1
        phi = phi / z - 1 / factorial
    return found


def _adams_step(
    x: Tensor, x0s: Sequence[Tensor], x0_sigmas: Sequence[float], sigma: float, sigma_next: float, tau: float
) -> Tensor:
    """x at sigma_next, without its noise, for an x0 that follows the polynomial in lambda through the x0s.

    With a = 1 + tau**2 and u = lambda - lambda_next, the integrals of a e**(a u) u**p over the step follow from each
    other by parts (the paper's equations 15 and 18).
    """
    a, h = 1 + tau**2, half_log_snr(sigma_next) - half_log_snr(sigma)
    moments = [-math.expm1(-a * h)]
    for power in range(1, len(x0s)):
        moments.append(-math.exp(-a * h) * (-h) ** power - power / a * moments[-1])
    weights = lagrange(np.array([half_log_snr(s) - half_log_snr(sigma_next) for s in x0_sigmas]), moments)
    return sigma_next / sigma * math.exp(-(tau**2) * h) * x + (1 - sigma_next) * weighted(x0s, weights)
