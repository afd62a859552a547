"""Types of the solvers, and arithmetic that several of them share.

A solver is a generator over the steps. It calls the denoiser for x0, the latent predicted from x, moves x to the next
noise level, and yields both. Rectified flow has `x = sigma * noise + alpha * latent` with `alpha = 1 - sigma`;
`lambda = log(alpha / sigma)` is half the logarithm of the signal-to-noise ratio, and `h` a step in it (or, for
the solvers that were made for `x = latent + sigma * noise`, a step in -log(sigma)).

Scalars are Python floats, computed while the device works, so no step waits for the device. A multistep solver
starts with an infinite `last_h`, which gives the missing history the weight 0.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.sampling.noise import Noise
from inference.sampling.schedules import shift_time

#: x at the next sigma, and the x0 that led there.
Steps = Iterator[tuple[Tensor, Tensor]]

Denoise = Callable[[Tensor, float], Tensor]

#: (guided, unguided) x0, for the solvers of CFG++.
DenoisePair = Callable[[Tensor, float], tuple[Tensor, Tensor]]


def half_log_snr(sigma: float) -> float:
    """lambda of rectified flow."""
    return math.log((1 - sigma) / sigma)


def finite_lambda(sigmas: Sequence[float], shift: float) -> Sequence[float]:
    """Replace a first sigma of 1, where lambda is infinite, by the sigma at t = 0.9999."""
    return sigmas if sigmas[0] < 1 else [float(np.float32(shift_time(0.9999, shift))), *sigmas[1:]]


def between(sigma: float, sigma_next: float, part: float) -> float:
    """The sigma `part` of the way in lambda, exact in float32: a Brownian tree gives other noise for neighbours."""
    lambda_, lambda_next = -torch.tensor([sigma, sigma_next]).logit()
    return float(torch.sigmoid(-(lambda_ + part * (lambda_next - lambda_))))


def ancestral_flow(sigma: float, sigma_next: float) -> tuple[float, float, float]:
    """An ancestral step of rectified flow, eta 1: the sigma to step down to, the factor that then shrinks x, and the
    standard deviation of the noise that brings it back to sigma_next."""
    sigma_down = sigma_next * sigma_next / sigma
    shrink = (1 - sigma_next) / (1 - sigma_down)
    return sigma_down, shrink, math.sqrt(sigma_next**2 - (sigma_down * shrink) ** 2)


def ancestral(sigma: float, sigma_next: float) -> tuple[float, float]:
    """An ancestral step of `x = latent + sigma * noise`, eta 1: (sigma_down, sigma_up)."""
    sigma_up = min(sigma_next, math.sqrt(sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2))
    return math.sqrt(sigma_next**2 - sigma_up**2), sigma_up


def sde_step(x: Tensor, x0: Tensor, sigma: float, sigma_next: float, noise: Noise) -> Tensor:
    """The diffusion SDE (eta 1) solved exactly for a constant x0."""
    h = half_log_snr(sigma_next) - half_log_snr(sigma)
    kept, gone = sigma_next / sigma * math.exp(-h), -math.expm1(-2 * h)
    return kept * x + (1 - sigma_next) * gone * x0 + sigma_next * math.sqrt(gone) * noise(sigma, sigma_next)


def phi_1(z: float) -> float:
    """z * phi_1(z) = exp(z) - 1, the first of the exponential integrators' functions, times z."""
    return math.expm1(z)


def phi_2(z: float) -> float:
    """z * phi_2(z) = (exp(z) - 1 - z) / z."""
    return (math.expm1(z) - z) / z


def lagrange(nodes: NDArray[np.float64], moments: Sequence[float]) -> list[float]:
    """Weights of values at the nodes in the integral of the polynomial through them. moments: integrals of powers."""
    return cast(list[float], np.linalg.solve(np.vander(nodes, increasing=True).T, moments).tolist())


def weighted(terms: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """The weighted sum of as many terms as there are weights, at least one."""
    total = weights[0] * terms[0]
    for weight, term in zip(weights[1:], terms[1:], strict=True):
        total = total + weight * term
    return total
