"""Solvers that use the slopes or x0s of earlier steps, and call the denoiser once per step."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.sampling.noise import Noise
from inference.sampling.solver import Denoise, Steps, ancestral, lagrange, phi_2, weighted

#: An array of float32 or float64.
Floats = NDArray[Any]
Precision = np.dtype[Any]

#: How many points of each step `deis` integrates over.
POINTS = 10_000
#: Adams and Bashforth's weights for equal steps, newest slope first, by the number of slopes.
ADAMS_BASHFORTH = ((1,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))


def lms(denoise: Denoise, x: Tensor, sigmas: Sequence[float], *_: object) -> Steps:
    """Linear multistep (Adams and Bashforth) of order 4 in sigma: integrates a polynomial through the last slopes."""
    slopes: list[Tensor] = []
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x0 = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        slopes = [*slopes[-3:], (x - x0) / sigma]
        nodes = np.array(sigmas[i + 1 - len(slopes) : i + 1]) - sigma
        moments = [(sigma_next - sigma) ** (power + 1) / (power + 1) for power in range(len(slopes))]
        x = x + weighted(slopes, lagrange(nodes, moments))
        yield x, x0


def ipndm(denoise: Denoise, x: Tensor, sigmas: Sequence[float], *_: object) -> Steps:
    """Improved pseudo numerical method of order 4 (Zhang & Chen 2022, arXiv 2204.13902): uses Adams and Bashforth's
    weights for equal steps, even if the steps are not equal."""
    slopes: list[Tensor] = []
    for sigma, sigma_next in pairwise(sigmas):
        x0 = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        slopes = [(x - x0) / sigma, *slopes[:3]]
        x = x + (sigma_next - sigma) * weighted(slopes, ADAMS_BASHFORTH[len(slopes) - 1])
        yield x, x0


def ipndm_v(denoise: Denoise, x: Tensor, sigmas: Sequence[float], *_: object) -> Steps:
    """`ipndm` with weights for the actual steps."""
    slopes: list[Tensor] = []
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x0 = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        slopes = [(x - x0) / sigma, *slopes[:3]]
        walked = [b - a for a, b in pairwise(sigmas[i + 1 - len(slopes) : i + 2])][::-1]
        x = x + (sigma_next - sigma) * weighted(slopes, _variable_step_weights(walked))
        yield x, x0


def deis(denoise: Denoise, x: Tensor, sigmas: Sequence[float], *_: object) -> Steps:
    """Diffusion Exponential Integrator Sampler, tAB of order 3 (Zhang & Chen 2022, arXiv 2204.13902, section 3).

    The slopes (x - x0) / sigma at the last three noise levels are extrapolated by a polynomial in t and integrated over
    sigma. The paper's t is the time of a variance-preserving diffusion, `_vp_time`.
    """
    slopes: list[Tensor] = []
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x0 = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        slopes = [*slopes[-2:], (x - x0) / sigma]
        walked = sigmas[i + 1 - len(slopes) : i + 2]
        weights = [sigma_next - sigma] if len(slopes) == 1 else _deis_weights(walked)
        x = x + weighted(slopes, weights)
        yield x, x0


def res_multistep(denoise: Denoise, x: Tensor, sigmas: Sequence[float], *_: object) -> Steps:
    """Refined Exponential Solver, second order multistep (Zhang et al. 2023, arXiv 2308.02157), in -log(sigma)."""
    last_x0, last_h = x, math.inf
    for sigma, sigma_next in pairwise(sigmas):
        x0 = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        h = math.log(sigma / sigma_next)
        x = torch.lerp(x0, x, sigma_next / sigma) - h / last_h * phi_2(-h) * (x0 - last_x0)
        last_x0, last_h = x0, h
        yield x, x0


def res_multistep_ancestral(denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, shift: float) -> Steps:
    """`res_multistep` down to sigma_down, with noise added back to sigma_next.

    The last step's length, `last_h`, counts only as far as that step's sigma_down.
    """
    last_x0, last_h = x, math.inf
    for sigma, sigma_next in pairwise(sigmas):
        x0 = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        sigma_down, sigma_up = ancestral(sigma, sigma_next)
        h = math.log(sigma / sigma_down)
        x = torch.lerp(x0, x, sigma_down / sigma) - h / last_h * phi_2(-h) * (x0 - last_x0)
        x = x + sigma_up * noise(sigma, sigma_next)
        last_x0, last_h = x0, h
        yield x, x0


def gradient_estimation(denoise: Denoise, x: Tensor, sigmas: Sequence[float], *_: object) -> Steps:
    """Euler's method with the slope's latest change added to it (Permenter & Yuan 2023, arXiv 2306.04848, gamma 2)."""
    last_slope = None
    for sigma, sigma_next in pairwise(sigmas):
        x0 = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        slope = (x - x0) / sigma
        change = 0 if last_slope is None else slope - last_slope
        x = x + (sigma_next - sigma) * (slope + change)
        last_slope = slope
        yield x, x0


def _variable_step_weights(walked: Sequence[float]) -> list[float]:
    """Weights of the slopes, newest first. walked: the lengths of this step and of those before it, newest first.

    If the steps are equal, they are Adams and Bashforth's. Otherwise they follow the reference, not the exact
    integrals: `third` has its ratio inside the bracket, `fourth` has a plus, and the oldest slope has `h1 / h2` instead
    of `h2 / h3`.
    """
    weights = [1.0, 0.0, 0.0, 0.0]
    h, h1, h2, h3 = [*walked, *(math.inf,) * 3][:4]
    if len(walked) > 1:
        _add(weights, h / h1 / 2, (1, -1))
    if len(walked) > 2:
        third = (1 - h**2 / (3 * h1 * (h1 + h2))) / 2
        _add(weights, third, (1, -1 - h1 / h2, h1 / h2))
    if len(walked) > 3:
        two, three = h + h1, h + h1 + h2
        mean = (1 - h / (3 * two)) / 2 + (1 - h / (2 * two)) * h / (6 * three)
        fourth = mean * h * two * three / (h1 * (h1 + h2) * (h1 + h2 + h3))
        ratio = h1 * (h1 + h2) / (h2 * (h2 + h3))
        second_oldest = h1 / h2 + ratio * (1 + h2 / h3)
        _add(weights, fourth, (1, -1 - h1 / h2 - ratio, second_oldest, -ratio * h1 / h2))
    return weights[: len(walked)]


def _add(weights: list[float], change: float, pattern: Sequence[float]) -> None:
    for i, share in enumerate(pattern):
        weights[i] += change * share


def _deis_weights(sigmas: Sequence[float]) -> Sequence[float]:
    """The weights of the slopes at sigmas[:-1], for the step from sigmas[-2] to sigmas[-1].

    They are computed in float32, because its rounding affects the reference's images where sigma is small: at 0.001 it
    changes the time by several percent. If float32 cannot tell two times apart, where the reference divides by zero,
    they are computed in float64.
    """
    with np.errstate(all="ignore"):
        weights = _integrals(np.asarray(sigmas, np.float32))
    if not np.isfinite(weights).all():
        weights = _integrals(np.asarray(sigmas, np.float64))
    return [float(weight) for weight in weights]


def _integrals(sigmas: Floats) -> NDArray[np.float64]:
    """The integral over sigma of each slope's Lagrange polynomial: a mean of many points, in the dtype of `sigmas`."""
    *times, end = _vp_time(sigmas)
    t = np.linspace(times[-1], end, POINTS, dtype=sigmas.dtype)
    slope, start = _vp_beta(sigmas.dtype)
    exponent = -t * t * slope / 2 - t * start
    alpha = _rounded(np.exp, exponent)
    speed = (slope * t + start) / 2 / np.sqrt(alpha * (1 - alpha))  # d sigma / dt
    polynomials = [
        math.prod((t - other) / (node - other) for other in times[:i] + times[i + 1 :]) for i, node in enumerate(times)
    ]
    return np.array([(end - times[-1]) * np.mean(speed * each) for each in polynomials], np.float64)


def _vp_time(sigma: Floats) -> Floats:
    """The time at which a variance-preserving diffusion with linear beta has this noise-to-signal ratio."""
    slope, start = _vp_beta(sigma.dtype)
    noise = _rounded(np.log, sigma * sigma + 1)
    time: Floats = (np.sqrt(start * start + 2 * slope * noise) - start) / slope
    return time


def _vp_beta(precision: Precision) -> Floats:
    """The slope and the start of beta, such that the times 0.001 and 1 correspond to the sigmas 0.002 and 80.

    Karras et al. 2022, arXiv 2206.00364, table 1 and appendix C.
    """
    first = np.array(0.001, precision)
    low, high = _rounded(np.log, np.array((0.002, 80), precision) ** 2 + 1)
    slope = 2 * (low / first - high) / (first - 1)
    return np.array((slope, high - slope / 2), precision)


def _rounded(function: np.ufunc, numbers: Floats) -> Floats:
    """Compute in float64 and round once: NumPy's float32 functions differ between processors in the last digit."""
    results: Floats = function(numbers.astype(np.float64)).astype(numbers.dtype)
    return results
