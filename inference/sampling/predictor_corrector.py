"""Solvers that predict a step from earlier x0s, and correct it with the next x0."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
#: Below this variance (a sigma of 0.0007) UniPC computes exactly, because float32 would have only three bits left.
MIN_VARIANCE = 2**-21


def _sa_solver(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, shift: float, *, evaluate_again: bool
) -> Steps:
    """Stochastic Adams solver (Xue et al. 2023, arXiv 2309.05019, algorithm 1).

    Orders 3 (predictor) and 4 (corrector), lower in the first and last steps; stochastic (tau = 1) only where the
    next sigma belongs to a time between 0.2 and 0.8. evaluate_again: call the denoiser after each correction too.
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

    It works in the variance-preserving form of `latent + sigma * noise`, whose alpha is `1 / sqrt(1 + sigma**2)`.
    """
    if len(sigmas) == 1:
        return
    walk = [*sigmas[:-1], UNIPC_END] if sigmas[-1] == 0 else list(sigmas)
    steps = len(walk) - 1
    max_order = max(1, min(3, steps - 1))
    y = x / math.hypot(1, walk[0])
    x0s = [_expected(denoise, y, walk[0])]
    for i, sigma_next in enumerate(walk[1:], start=1):
        order = min(max_order, i, steps + 1 - i)
        step = _UniPcStep(y, x0s[-order:], walk[i - order : i], sigma_next, exponential)
        y = step.predicted()
        yield y * math.hypot(1, sigma_next), x0s[-1]
        if i < steps:
            x0s = [*x0s[-2:], _expected(denoise, y, sigma_next)]
            y = step.corrected(x0s[-1])


def _expected(denoise: Denoise, y: Tensor, sigma: float) -> Tensor:
    """The x0 at y. As in the reference, it is computed again from the noise, with the rounded level."""
    x = y * math.hypot(1, sigma)
    x0 = denoise(x, sigma)
    level = _Level.rounded(sigma)
    return x0 if level is None else (y - level.deviation / sigma * (x - x0)) / level.alpha


uni_pc = partial(_uni_pc, exponential=False)
uni_pc_bh2 = partial(_uni_pc, exponential=True)


@dataclass(frozen=True)
class _Level:
    """A sigma of the variance-preserving form."""

    alpha: float
    deviation: float
    half_log_snr: float

    @classmethod
    def exact(cls, sigma: float) -> "_Level":
        alpha = 1 / math.hypot(1, sigma)
        return cls(alpha, sigma * alpha, -math.log(sigma))

    @classmethod
    def rounded(cls, sigma: float) -> "_Level | None":
        """In float32 wherever the reference is; None if few or no digits are left.

        The reference subtracts numbers close to 1: at sigma 0.001 its deviation is 2.3 % too small, as images show.
        """
        one, half = np.float32(1), np.float32(0.5)
        squared = np.float32(sigma) * np.float32(sigma)
        log_alpha = half * _once_rounded(math.log, one / (squared + one))
        variance = one - _once_rounded(math.exp, log_alpha + log_alpha)
        if variance < MIN_VARIANCE:
            return None
        half_log_snr = log_alpha - half * _once_rounded(math.log, variance)
        return cls(float(_once_rounded(math.exp, log_alpha)), float(np.sqrt(variance)), float(half_log_snr))


def _levels(sigmas: Sequence[float]) -> list[_Level]:
    rounded = [level for level in map(_Level.rounded, sigmas) if level is not None]
    if len({level.half_log_snr for level in rounded}) == len(sigmas):
        return rounded
    return [_Level.exact(sigma) for sigma in sigmas]


def _float32(value: float) -> float:
    return float(np.float32(value))


def _once_rounded(function: Callable[[float], float], value: np.float32) -> np.float32:
    return np.float32(function(float(value)))


class _UniPcStep:
    """One step of UniPC from walked[-1] to sigma_next. x0s: at the sigmas `walked`, the newest last."""

    def __init__(
        self, y: Tensor, x0s: Sequence[Tensor], walked: Sequence[float], sigma_next: float, exponential: bool
    ) -> None:
        self.order, self.x0 = len(x0s), x0s[-1]
        *levels, level_next = _levels([*walked, sigma_next])
        level = levels[-1]
        h = _float32(level_next.half_log_snr - level.half_log_snr)
        self.parts = [_float32((other.half_log_snr - level.half_log_snr) / h) for other in reversed(levels[:-1])]
        self.changes = [(other - self.x0) / part for other, part in zip(reversed(x0s[:-1]), self.parts, strict=True)]
        self.alpha = level_next.alpha
        self.base = level_next.deviation / level.deviation * y - self.alpha * math.expm1(-h) * self.x0
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
    """k! * z * phi_(k+1)(z) / B(h) for k = 1 … order, in float32 as in the reference: short steps lose digits."""
    one, step, scale = np.float32(1), np.float32(z), np.float32(b_h)
    phi, factorial, found = _once_rounded(math.expm1, step) / step - one, 1, []
    for k in range(1, order + 1):
        found.append(float(phi * np.float32(factorial) / scale))
        factorial *= k + 1
        phi = phi / step - np.float32(1 / factorial)
    return found


def _adams_step(
    x: Tensor, x0s: Sequence[Tensor], x0_sigmas: Sequence[float], sigma: float, sigma_next: float, tau: float
) -> Tensor:
    """x at sigma_next, without its noise, for an x0 that follows the polynomial in lambda through the x0s.

    With a = 1 + tau**2 and u = lambda - lambda_next, each integral of a e**(a u) u**p over the step follows from the
    one before by integration by parts (the paper's equations 15 and 18).
    """
    a, h = 1 + tau**2, half_log_snr(sigma_next) - half_log_snr(sigma)
    moments = [-math.expm1(-a * h)]
    for power in range(1, len(x0s)):
        moments.append(-math.exp(-a * h) * (-h) ** power - power / a * moments[-1])
    weights = lagrange(np.array([half_log_snr(s) - half_log_snr(sigma_next) for s in x0_sigmas]), moments)
    return sigma_next / sigma * math.exp(-(tau**2) * h) * x + (1 - sigma_next) * weighted(x0s, weights)
