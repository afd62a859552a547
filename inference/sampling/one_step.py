"""Solvers that keep no history, and follow the slope dx/dsigma = (x - x0) / sigma."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inference.sampling.noise import Noise
from inference.sampling.solver import Denoise, Steps, ancestral_flow


def euler(denoise: Denoise, x: Tensor, sigmas: Sequence[float], *_: object) -> Steps:
    """Euler's method."""
    for sigma, sigma_next in pairwise(sigmas):
        x0 = denoise(x, sigma)
        x = torch.lerp(x0, x, sigma_next / sigma)
        yield x, x0


def euler_a(denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, shift: float) -> Steps:
    """Ancestral Euler for rectified flow: overshoot to sigma_down, then add noise and shrink back to sigma_next."""
    for sigma, sigma_next in pairwise(sigmas):
        x0 = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        sigma_down, shrink, renoise = ancestral_flow(sigma, sigma_next)
        down = torch.lerp(x0, x, sigma_down / sigma)
        x = shrink * down + renoise * noise(sigma, sigma_next)
        yield x, x0


def heun(denoise: Denoise, x: Tensor, sigmas: Sequence[float], *_: object) -> Steps:
    """Heun's method: the mean of the slopes at both ends (Karras et al. 2022, arXiv 2206.00364, algorithm 1)."""
    for sigma, sigma_next in pairwise(sigmas):
        x0 = denoise(x, sigma)
        slope = (x - x0) / sigma
        if sigma_next > 0:
            x_next = x + (sigma_next - sigma) * slope
            slope = (slope + (x_next - denoise(x_next, sigma_next)) / sigma_next) / 2
        x = x + (sigma_next - sigma) * slope
        yield x, x0


def heunpp2(denoise: Denoise, x: Tensor, sigmas: Sequence[float], *_: object) -> Steps:
    """Heun's method that looks up to two levels ahead, with each slope weighted by its noise level.

    If n slopes are averaged, those at the next two sigmas have the weight `sigma / (n * sigmas[0])` each; the current
    slope has the rest.
    """
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x0 = denoise(x, sigma)
        slopes = [(x - x0) / sigma]
        ahead, last = x, sigma
        for level in [level for level in sigmas[i + 1 : i + 3] if level != sigmas[-1]]:
            ahead = ahead + (level - last) * slopes[-1]
            slopes.append((ahead - denoise(ahead, level)) / level)
            last = level
        weights = [level / (len(slopes) * sigmas[0]) for level in sigmas[i + 1 : i + len(slopes)]]
        slope = (1 - sum(weights)) * slopes[0]
        for weight, other in zip(weights, slopes[1:], strict=True):
            slope = slope + weight * other
        x = x + (sigma_next - sigma) * slope
        yield x, x0


def dpm_2(denoise: Denoise, x: Tensor, sigmas: Sequence[float], *_: object) -> Steps:
    """The midpoint method, at the geometric mean of the sigmas (Karras et al. 2022, arXiv 2206.00364, algorithm 2)."""
    for sigma, sigma_next in pairwise(sigmas):
        x0 = denoise(x, sigma)
        x = _midpoint_step(denoise, x, x0, sigma, sigma_next)
        yield x, x0


def dpm_2_ancestral(denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, shift: float) -> Steps:
    """`dpm_2` down to sigma_down, with noise added back to sigma_next as in `euler_a`."""
    for sigma, sigma_next in pairwise(sigmas):
        x0 = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        sigma_down, shrink, renoise = ancestral_flow(sigma, sigma_next)
        x = shrink * _midpoint_step(denoise, x, x0, sigma, sigma_down) + renoise * noise(sigma, sigma_next)
        yield x, x0


def lcm(denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, shift: float) -> Steps:
    """Latent consistency: add noise of the next level to x0 itself (Luo et al. 2023, arXiv 2310.04378)."""
    for sigma, sigma_next in pairwise(sigmas):
        x = x0 = denoise(x, sigma)
        if sigma_next > 0:
            x = sigma_next * noise(sigma, sigma_next) + (1 - sigma_next) * x0
        yield x, x0


def ddpm(denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, shift: float) -> Steps:
    """The ancestral step of denoising diffusion (Ho et al. 2020, arXiv 2006.11239, algorithm 2).

    Its alpha-bar is `1 / (1 + sigma**2)`: like the reference, it treats sigma as the noise level of
    `latent + sigma * noise`, whatever the model.
    """
    for sigma, sigma_next in pairwise(sigmas):
        x0 = denoise(x, sigma)
        kept, kept_next = _alpha_bars(sigma, sigma_next)
        alpha = kept / kept_next
        epsilon = (x - x0) / sigma
        x = (x * float(np.sqrt(kept)) - float((1 - alpha) / np.sqrt(1 - kept)) * epsilon) / float(np.sqrt(alpha))
        if sigma_next > 0:
            deviation = float(np.sqrt((1 - alpha) * (1 - kept_next) / (1 - kept)))
            x = (x + deviation * noise(sigma, sigma_next)) / float(np.sqrt(kept_next))
        yield x, x0


def _alpha_bars(sigma: float, sigma_next: float) -> tuple[np.floating[Any], np.floating[Any]]:
    """In float32, because its rounding affects the reference's images: at 0.001 it makes the noise 5 % less.

    In float64 if float32 would leave no noise at all, where the reference divides by zero.
    """
    one = np.float32(1)
    kept, kept_next = (one / (one + np.float32(level) * np.float32(level)) for level in (sigma, sigma_next))
    if kept < one:
        return kept, kept_next
    return np.float64(1 / (1 + sigma**2)), np.float64(1 / (1 + sigma_next**2))


def _midpoint_step(denoise: Denoise, x: Tensor, x0: Tensor, sigma: float, sigma_next: float) -> Tensor:
    slope = (x - x0) / sigma
    if sigma_next > 0:
        middle = math.sqrt(sigma * sigma_next)
        halfway = x + (middle - sigma) * slope
        slope = (halfway - denoise(halfway, middle)) / middle
    return x + (sigma_next - sigma) * slope
