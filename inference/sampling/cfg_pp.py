"""CFG++ forms of solvers (Chung et al. 2024, arXiv 2406.08070): the picture comes from the guided prediction, the
direction of the noise from the unguided one."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from inference.sampling.noise import Noise
from inference.sampling.solver import DenoisePair, Steps, ancestral, finite_lambda, phi_2


def euler_cfg_pp(denoise: DenoisePair, x: Tensor, sigmas: Sequence[float], *_: object) -> Steps:
    """Euler's method for rectified flow."""
    for sigma, sigma_next in pairwise(sigmas):
        guided, unguided = denoise(x, sigma)
        direction = (x - (1 - sigma) * unguided) / sigma
        x = (1 - sigma_next) * guided + sigma_next * direction
        yield x, guided


def euler_ancestral_cfg_pp(
    denoise: DenoisePair, x: Tensor, sigmas: Sequence[float], noise: Noise, shift: float
) -> Steps:
    """`euler_cfg_pp` down to sigma_down, with noise added back to sigma_next, both measured in sigma / alpha."""
    for sigma, sigma_next in pairwise(finite_lambda(sigmas, shift)):
        guided, unguided = denoise(x, sigma)
        if sigma_next == 0:
            yield guided, guided
            return
        alpha, alpha_next = 1 - sigma, 1 - sigma_next
        down, up = ancestral(sigma / alpha, sigma_next / alpha_next)
        direction = (x - alpha * unguided) / sigma
        x = alpha_next * (guided + down * direction + up * noise(sigma, sigma_next))
        yield x, guided


def dpmpp_2s_ancestral_cfg_pp(
    denoise: DenoisePair, x: Tensor, sigmas: Sequence[float], noise: Noise, shift: float
) -> Steps:
    """DPM-Solver++(2S), ancestral, in -log(sigma)."""
    for sigma, sigma_next in pairwise(sigmas):
        guided, unguided = denoise(x, sigma)
        if sigma_next == 0:
            yield guided, guided
            return
        sigma_down, sigma_up = ancestral(sigma, sigma_next)
        halfway = math.sqrt(sigma * sigma_down)
        ahead = guided + halfway / sigma * (x - unguided)
        guided_halfway, unguided_halfway = denoise(ahead, halfway)
        turned = x + guided - unguided_halfway
        x = torch.lerp(guided_halfway, turned, sigma_down / sigma) + sigma_up * noise(sigma, sigma_next)
        yield x, guided


def dpmpp_2m_cfg_pp(denoise: DenoisePair, x: Tensor, sigmas: Sequence[float], *_: object) -> Steps:
    """DPM-Solver++(2M) in -log(sigma)."""
    last_unguided, last_h = x, math.inf
    for sigma, sigma_next in pairwise(sigmas):
        guided, unguided = denoise(x, sigma)
        if sigma_next == 0:
            yield guided, guided
            return
        h = math.log(sigma / sigma_next)
        kept = sigma_next / sigma
        x = guided + kept * (x - unguided) + (1 - kept) * h / (2 * last_h) * (guided - last_unguided)
        last_unguided, last_h = unguided, h
        yield x, guided


def res_multistep_cfg_pp(denoise: DenoisePair, x: Tensor, sigmas: Sequence[float], *_: object) -> Steps:
    """The Refined Exponential Solver, with the unguided predictions as its history."""
    yield from _res_multistep(denoise, x, sigmas, None)


def res_multistep_ancestral_cfg_pp(
    denoise: DenoisePair, x: Tensor, sigmas: Sequence[float], noise: Noise, shift: float
) -> Steps:
    """`res_multistep_cfg_pp` down to sigma_down, with noise added back to sigma_next."""
    yield from _res_multistep(denoise, x, sigmas, noise)


def gradient_estimation_cfg_pp(denoise: DenoisePair, x: Tensor, sigmas: Sequence[float], *_: object) -> Steps:
    """Gradient estimation, gamma 2, with the unguided prediction's slope."""
    last_slope = None
    for sigma, sigma_next in pairwise(sigmas):
        guided, unguided = denoise(x, sigma)
        if sigma_next == 0:
            yield guided, guided
            return
        slope = (x - unguided) / sigma
        change = 0 if last_slope is None else slope - last_slope
        x = guided + sigma_next * slope + (sigma_next - sigma) * change
        last_slope = slope
        yield x, guided


def _res_multistep(denoise: DenoisePair, x: Tensor, sigmas: Sequence[float], noise: Noise | None) -> Steps:
    last_unguided, last_h = x, math.inf
    for sigma, sigma_next in pairwise(sigmas):
        guided, unguided = denoise(x, sigma)
        if sigma_next == 0:
            yield guided, guided
            return
        sigma_down, sigma_up = (sigma_next, 0.0) if noise is None else ancestral(sigma, sigma_next)
        h = math.log(sigma / sigma_down)
        if last_h == math.inf:
            x = guided + sigma_down / sigma * (x - unguided)
        else:
            history = -h / last_h * phi_2(-h) * (unguided - last_unguided)
            x = torch.lerp(unguided, x + guided - unguided, sigma_down / sigma) + history
        if noise is not None:
            x = x + sigma_up * noise(sigma, sigma_next)
        last_unguided, last_h = unguided, h
        yield x, guided
