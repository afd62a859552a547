"""DPM-Solver and DPM-Solver++ (Lu et al. 2022, arXiv 2206.00927 and 2211.01095), with their SDE forms."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from inference.sampling.noise import Noise
from inference.sampling.solver import (
    Denoise,
    Steps,
    ancestral_flow,
    between,
    finite_lambda,
    half_log_snr,
    phi_2,
    sde_step,
)

#: The adaptive solver's tolerances, its first step in -log(sigma), and the least factor with which it accepts a step.
RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE, FIRST_STEP, ACCEPTED_FACTOR = 0.05, 0.0078, 0.05, 0.81


def dpmpp_2m(denoise: Denoise, x: Tensor, sigmas: Sequence[float], *_: object) -> Steps:
    """DPM-Solver++(2M) in -log(sigma) (arXiv 2211.01095, algorithm 2)."""
    last_x0, last_h = x, math.inf
    for sigma, sigma_next in pairwise(sigmas):
        x0 = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        h = math.log(sigma / sigma_next)
        ahead = x0 + h / (2 * last_h) * (x0 - last_x0)
        x = torch.lerp(ahead, x, sigma_next / sigma)
        last_x0, last_h = x0, h
        yield x, x0


def dpmpp_2m_sde(denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, shift: float) -> Steps:
    """DPM-Solver++(2M) SDE, midpoint, eta 1 (arXiv 2211.01095, appendix)."""
    last_x0, last_h = x, math.inf
    for sigma, sigma_next in pairwise(finite_lambda(sigmas, shift)):
        x0 = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        h = half_log_snr(sigma_next) - half_log_snr(sigma)
        ahead = x0 + h / (2 * last_h) * (x0 - last_x0)
        x = sde_step(x, ahead, sigma, sigma_next, noise)
        last_x0, last_h = x0, h
        yield x, x0


def dpmpp_2m_sde_heun(denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, shift: float) -> Steps:
    """DPM-Solver++(2M) SDE in its Heun form, eta 1: the change of x0 is integrated exactly over the step."""
    last_x0, last_h = x, math.inf
    for sigma, sigma_next in pairwise(finite_lambda(sigmas, shift)):
        x0 = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        h = half_log_snr(sigma_next) - half_log_snr(sigma)
        change = (1 - sigma_next) * -phi_2(-2 * h) * h / last_h * (x0 - last_x0)
        x = sde_step(x, x0, sigma, sigma_next, noise) + change
        last_x0, last_h = x0, h
        yield x, x0


def dpmpp_3m_sde(denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, shift: float) -> Steps:
    """DPM-Solver++(3M) SDE, eta 1: x0's slope and curve in lambda, from the last three x0s."""
    last_x0 = last_slope = x
    last_h = second_last_h = math.inf
    for i, (sigma, sigma_next) in enumerate(pairwise(finite_lambda(sigmas, shift))):
        x0 = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        h = half_log_snr(sigma_next) - half_log_snr(sigma)
        moved = sde_step(x, x0, sigma, sigma_next, noise)
        slope = (x0 - last_x0) * (h / last_h)
        change = -phi_2(-2 * h)
        if i >= 2:
            curve = (slope - last_slope * (h / last_h)) / (last_h / h + second_last_h / h)
            slope_at_hand = slope + curve * (last_h / h)
            moved = moved + (1 - sigma_next) * (change * slope_at_hand - (change / (2 * h) - 0.5) * curve)
        elif i == 1:
            moved = moved + (1 - sigma_next) * change * slope
        x = moved
        last_x0, last_slope, last_h, second_last_h = x0, slope, h, last_h
        yield x, x0


def dpmpp_sde(denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, shift: float) -> Steps:
    """DPM-Solver++ SDE that looks ahead halfway in lambda, eta 1."""
    for sigma, sigma_next in pairwise(finite_lambda(sigmas, shift)):
        x0 = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        halfway = between(sigma, sigma_next, 0.5)
        x0_halfway = denoise(sde_step(x, x0, sigma, halfway, noise), halfway)
        x = sde_step(x, x0_halfway, sigma, sigma_next, noise)
        yield x, x0


def dpmpp_2s_ancestral(denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, shift: float) -> Steps:
    """DPM-Solver++(2S) down to sigma_down, with noise added back to sigma_next as in `euler_a`.

    It looks ahead halfway in lambda, or from sigma 1, where lambda is infinite, to 0.9999.
    """
    for sigma, sigma_next in pairwise(sigmas):
        x0 = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        sigma_down, shrink, renoise = ancestral_flow(sigma, sigma_next)
        halfway = 0.9999 if sigma >= 1 else between(sigma, sigma_down, 0.5)
        x0_halfway = denoise(torch.lerp(x0, x, halfway / sigma), halfway)
        x = shrink * torch.lerp(x0_halfway, x, sigma_down / sigma) + renoise * noise(sigma, sigma_next)
        yield x, x0


def dpm_fast(denoise: Denoise, x: Tensor, sigmas: Sequence[float], *_: object) -> Steps:
    """DPM-Solver of order 3 on equal steps of -log(sigma) (arXiv 2206.00927, DPM-Solver-fast).

    It calls the denoiser as often as the schedule has steps, but uses only the schedule's ends. It stops at the last
    sigma above 0, so that much noise is left, as in the reference.
    """
    calls = len(sigmas) - 1
    if calls == 0:
        return
    start, end = -math.log(sigmas[0]), -math.log(_last_above_zero(sigmas))
    orders = [3] * (calls // 3 - 1) + [2, 1] if calls % 3 == 0 else [3] * (calls // 3) + [calls % 3]
    for order, (t, t_next) in zip(orders, pairwise(np.linspace(start, end, len(orders) + 1).tolist()), strict=True):
        epsilon = _epsilon(denoise, x, t)
        x0 = x - math.exp(-t) * epsilon
        x = _SOLVER_STEPS[order](denoise, x, epsilon, t, t_next)
        yield x, x0


def dpm_adaptive(denoise: Denoise, x: Tensor, sigmas: Sequence[float], *_: object) -> Steps:
    """DPM-Solver that compares orders 2 and 3, and makes steps as long as their difference allows
    (arXiv 2206.00927, algorithm 3 and appendix C). It ends like `dpm_fast`.

    All images of a batch would share its steps, so `sample` gives it one image at a time.
    """
    if len(sigmas) == 1:
        return
    t, end = -math.log(sigmas[0]), -math.log(_last_above_zero(sigmas))
    h, last = FIRST_STEP, x
    while t < end - 1e-5:
        t_next = min(end, t + h)
        epsilon = _epsilon(denoise, x, t)
        low, high = _orders_2_and_3(denoise, x, epsilon, t, t_next)
        tolerance = (RELATIVE_TOLERANCE * torch.maximum(low.abs(), last.abs())).clamp(min=ABSOLUTE_TOLERANCE)
        error = float(((low - high) / tolerance).square().mean().sqrt())
        factor = 1 + math.atan((1 / (error + 1e-8)) ** (1 / 3) - 1)
        h *= factor
        if factor >= ACCEPTED_FACTOR or not math.isfinite(factor):  # with NaN, no step would help
            x0 = x - math.exp(-t) * epsilon
            t, x, last = (t_next if math.isfinite(factor) else end), high, low
            yield x, x0


def _last_above_zero(sigmas: Sequence[float]) -> float:
    return next(sigma for sigma in reversed(sigmas) if sigma > 0)


def _epsilon(denoise: Denoise, x: Tensor, t: float) -> Tensor:
    sigma = math.exp(-t)
    return (x - denoise(x, sigma)) / sigma


def _order_1(denoise: Denoise, x: Tensor, epsilon: Tensor, t: float, t_next: float) -> Tensor:
    return x - math.exp(-t_next) * math.expm1(t_next - t) * epsilon


def _order_2(
    denoise: Denoise,
    x: Tensor,
    epsilon: Tensor,
    t: float,
    t_next: float,
    part: float = 1 / 2,
    ahead: Tensor | None = None,
) -> Tensor:
    if ahead is None:
        ahead = _look_ahead(denoise, x, epsilon, t, t_next, part)
    return _order_1(denoise, x, epsilon + (ahead - epsilon) / (2 * part), t, t_next)


def _order_3(
    denoise: Denoise, x: Tensor, epsilon: Tensor, t: float, t_next: float, ahead: Tensor | None = None
) -> Tensor:
    if ahead is None:
        ahead = _look_ahead(denoise, x, epsilon, t, t_next, 1 / 3)
    h, second = t_next - t, t + 2 / 3 * (t_next - t)
    x_second = _order_1(denoise, x, epsilon, t, second)
    x_second = x_second - math.exp(-second) * 2 * phi_2(2 / 3 * h) * (ahead - epsilon)
    further = _epsilon(denoise, x_second, second)
    return _order_1(denoise, x, epsilon, t, t_next) - math.exp(-t_next) * 1.5 * phi_2(h) * (further - epsilon)


def _orders_2_and_3(denoise: Denoise, x: Tensor, epsilon: Tensor, t: float, t_next: float) -> tuple[Tensor, Tensor]:
    """x by either order, both with the same look ahead, a third of the way."""
    ahead = _look_ahead(denoise, x, epsilon, t, t_next, 1 / 3)
    low = _order_2(denoise, x, epsilon, t, t_next, 1 / 3, ahead)
    return low, _order_3(denoise, x, epsilon, t, t_next, ahead)


def _look_ahead(denoise: Denoise, x: Tensor, epsilon: Tensor, t: float, t_next: float, part: float) -> Tensor:
    there = t + part * (t_next - t)
    return _epsilon(denoise, _order_1(denoise, x, epsilon, t, there), there)


_SOLVER_STEPS: dict[int, Callable[[Denoise, Tensor, Tensor, float, float], Tensor]] = {
    1: _order_1,
    2: _order_2,
    3: _order_3,
}
