"""Samplers: how to walk a schedule from noise to a latent.

A sampler is a generator over the steps. It asks the denoiser for x0, the latent it expects behind x, moves x to the
next noise level, and yields both. Rectified flow has `x = sigma * noise + alpha * latent` with `alpha = 1 - sigma`;
`lambda = log(alpha / sigma)` is half the logarithm of the signal-to-noise ratio, and `h` a step in it (or, for
the samplers that were made for `x = latent + sigma * noise`, a step in -log(sigma)).

Scalars are Python floats, worked out while the device computes: no step waits for the device. A multistep sampler
starts with an infinite `last_h`, which gives the missing history the weight 0.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.sampling.noise import Noise, brownian_noise, white_noise
from inference.sampling.schedules import shift_time

#: `denoiser(x, sigma)` gives x0, of x's shape and dtype; sigma is a float32 scalar tensor on x's device.
Denoiser = Callable[[Tensor, Tensor], Tensor]

#: `on_step(step, steps, x0)`, called after step 1 … steps with the latent as it is now expected to become.
OnStep = Callable[[int, int, Tensor], None]

#: x at the next sigma, and the x0 that led there.
Steps = Iterator[tuple[Tensor, Tensor]]

_Denoise = Callable[[Tensor, float], Tensor]


def sample(
    sampler: str,
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    seeds: Sequence[int],
    on_step: OnStep | None = None,
    *,
    shift: float = 3.0,
) -> Tensor:
    """Walks x from sigmas[0] down to sigmas[-1] and returns it there: the latent itself where the last sigma is 0.

    x: [B, …], already noised to sigmas[0]; float32 gives the reference's numbers. seeds: one for each of the B
    images, which come out as each would alone. sigmas: falling, as `schedules.sigmas` gives them; a step between
    equal sigmas leads nowhere and is left out. shift: the one the schedule was made with. `on_step` may raise to
    cancel.

    Raises ValueError for an unknown sampler (listing the known ones), seeds that do not fit the batch or are not
    64-bit, or sigmas that are not a falling sequence within 0…1.
    """
    method = _method(sampler)
    walk = _checked(sigmas)
    if len(seeds) != len(x):
        raise ValueError(f"{len(seeds)} seeds were given for {len(x)} pictures; give one for each")

    def denoise(x: Tensor, sigma: float) -> Tensor:
        return denoiser(x, torch.full((), sigma, dtype=torch.float32, device=x.device))

    with torch.no_grad():
        noise = method.noise(seeds, x, walk)
        steps = len(walk) - 1
        for step, (moved, x0) in enumerate(method.solve(denoise, x, walk, noise, shift), start=1):
            x = moved
            if on_step is not None:
                on_step(step, steps, x0)
    return x


def calls_per_step(sampler: str) -> int:
    """How often a step asks the denoiser, which is what a step costs: 1 or 2 (the first or the last step then takes 1).

    Raises ValueError for an unknown sampler.
    """
    return _method(sampler).calls_per_step


def er_sde(denoise: _Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, shift: float) -> Steps:
    """Extended Reverse-Time SDE solver of order 3 (Cui et al. 2023, arXiv 2309.06169).

    In the paper's variable v = sigma / alpha the solver integrates 1 / phi(v) and (v - v_s) / phi(v) over the step,
    by the left-hand rule on 200 points, where phi(v) = v * excess(v) shapes the noise.
    """

    def excess(v: float) -> float:
        return math.exp(v**0.3) + 10

    sigmas = _finite_lambda(sigmas, shift)
    v = [sigma / (1 - sigma) for sigma in sigmas]
    last_x0 = last_slope = x
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x0 = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        alpha, dv = 1 - sigma_next, v[i + 1] - v[i]
        calm = excess(v[i + 1]) / excess(v[i])
        phi_ratio = calm * v[i + 1] / v[i]
        moved = sigma_next / sigma * calm * x + alpha * (1 - phi_ratio) * x0
        if i >= 1:
            points = v[i + 1] - dv * np.arange(200) / 200
            weights = -dv / 200 * v[i + 1] * excess(v[i + 1]) / (points * (np.exp(points**0.3) + 10))
            slope = (x0 - last_x0) / (v[i] - v[i - 1])
            moved = moved + alpha * (dv + float(weights.sum())) * slope
            if i >= 2:
                curve = (slope - last_slope) / ((v[i] - v[i - 2]) / 2)
                moved = moved + alpha * (dv**2 / 2 + float(weights @ (points - v[i]))) * curve
            last_slope = slope
        x = moved + sigma_next * math.sqrt(1 - calm**2) * noise(sigma, sigma_next)
        last_x0 = x0
        yield x, x0


def euler_a(denoise: _Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, shift: float) -> Steps:
    """Ancestral Euler for rectified flow: overshoot to sigma_down, then add noise and shrink back to sigma_next."""
    for sigma, sigma_next in pairwise(sigmas):
        x0 = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        sigma_down = sigma_next * sigma_next / sigma
        shrink = (1 - sigma_next) / (1 - sigma_down)
        renoise = math.sqrt(sigma_next**2 - (sigma_down * shrink) ** 2)
        down = torch.lerp(x0, x, sigma_down / sigma)
        x = shrink * down + renoise * noise(sigma, sigma_next)
        yield x, x0


def dpmpp_2m_sde(denoise: _Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, shift: float) -> Steps:
    """DPM-Solver++(2M) SDE, midpoint, eta 1 (Lu et al. 2022, arXiv 2211.01095, appendix)."""
    last_x0, last_h = x, math.inf
    for sigma, sigma_next in pairwise(_finite_lambda(sigmas, shift)):
        x0 = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        h = _lambda(sigma_next) - _lambda(sigma)
        ahead = x0 + h / (2 * last_h) * (x0 - last_x0)
        x = _sde_step(x, ahead, sigma, sigma_next, noise)
        last_x0, last_h = x0, h
        yield x, x0


def dpmpp_sde(denoise: _Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, shift: float) -> Steps:
    """DPM-Solver++ SDE with a look halfway in lambda, eta 1 (Lu et al. 2022, arXiv 2211.01095)."""
    for sigma, sigma_next in pairwise(_finite_lambda(sigmas, shift)):
        x0 = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        halfway = _halfway(sigma, sigma_next)
        x0_halfway = denoise(_sde_step(x, x0, sigma, halfway, noise), halfway)
        x = _sde_step(x, x0_halfway, sigma, sigma_next, noise)
        yield x, x0


def euler(denoise: _Denoise, x: Tensor, sigmas: Sequence[float], *_: object) -> Steps:
    """Euler's method on dx/dsigma = (x - x0) / sigma."""
    for sigma, sigma_next in pairwise(sigmas):
        x0 = denoise(x, sigma)
        x = torch.lerp(x0, x, sigma_next / sigma)
        yield x, x0


def heun(denoise: _Denoise, x: Tensor, sigmas: Sequence[float], *_: object) -> Steps:
    """Heun's method: the mean of the slopes at both ends (Karras et al. 2022, arXiv 2206.00364, algorithm 1)."""
    for sigma, sigma_next in pairwise(sigmas):
        x0 = denoise(x, sigma)
        slope = (x - x0) / sigma
        if sigma_next > 0:
            x_next = x + (sigma_next - sigma) * slope
            slope = (slope + (x_next - denoise(x_next, sigma_next)) / sigma_next) / 2
        x = x + (sigma_next - sigma) * slope
        yield x, x0


def dpmpp_2m(denoise: _Denoise, x: Tensor, sigmas: Sequence[float], *_: object) -> Steps:
    """DPM-Solver++(2M) in -log(sigma) (Lu et al. 2022, arXiv 2211.01095, algorithm 2)."""
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


def lcm(denoise: _Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, shift: float) -> Steps:
    """Latent consistency: take x0 and add fresh noise up to the next level (Luo et al. 2023, arXiv 2310.04378)."""
    for sigma, sigma_next in pairwise(sigmas):
        x = x0 = denoise(x, sigma)
        if sigma_next > 0:
            x = sigma_next * noise(sigma, sigma_next) + (1 - sigma_next) * x0
        yield x, x0


def res_multistep(denoise: _Denoise, x: Tensor, sigmas: Sequence[float], *_: object) -> Steps:
    """Refined Exponential Solver, second order multistep (Zhang et al. 2023, arXiv 2308.02157), in -log(sigma)."""
    last_x0, last_h = x, math.inf
    for sigma, sigma_next in pairwise(sigmas):
        x0 = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        h = math.log(sigma / sigma_next)
        phi_2 = 1 + math.expm1(-h) / h
        x = torch.lerp(x0, x, sigma_next / sigma) + h / last_h * phi_2 * (x0 - last_x0)
        last_x0, last_h = x0, h
        yield x, x0


def sa_solver_pece(denoise: _Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, shift: float) -> Steps:
    """Stochastic Adams solver, predict-evaluate-correct-evaluate (Xue et al. 2023, arXiv 2309.05019, algorithm 1).

    Orders 3 (predictor) and 4 (corrector), fewer in the first and last steps; stochastic (tau = 1) only where the
    next sigma belongs to a time between 0.2 and 0.8.
    """
    sigmas = _finite_lambda(sigmas, shift)
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
            x0 = x0s[-1] = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        order = min(3, len(x0s), steps_left - 1)
        tau = 1.0 if lowest <= sigma_next <= highest else 0.0
        predicted = _adams_step(x, x0s[-order:], sigmas[i - order + 1 : i + 1], sigma, sigma_next, tau)
        if tau:
            h = _lambda(sigma_next) - _lambda(sigma)
            added = sigma_next * math.sqrt(-math.expm1(-2 * tau**2 * h)) * noise(sigma, sigma_next)
            predicted = predicted + added
        else:
            added = torch.zeros_like(x)
        yield predicted, x0


def deis(denoise: _Denoise, x: Tensor, sigmas: Sequence[float], *_: object) -> Steps:
    """Diffusion Exponential Integrator Sampler, tAB of order 3 (Zhang & Chen 2022, arXiv 2204.13902, section 3).

    The slopes (x - x0) / sigma at the last three noise levels are extrapolated by a polynomial in t and integrated over
    sigma. The paper's t is the time of a variance-preserving diffusion, `_vp_time`.
    """
    abscissae, quadrature = np.polynomial.legendre.leggauss(32)
    slopes: list[Tensor] = []
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x0 = denoise(x, sigma)
        if sigma_next == 0:
            yield x0, x0
            return
        slopes = [*slopes[-2:], (x - x0) / sigma]
        half = (sigma_next - sigma) / 2
        walked = _vp_time(np.array(sigmas[max(0, i - 2) : i + 1]))
        ahead = _vp_time(sigma + half * (1 + abscissae))
        moments = [half * float(quadrature @ (ahead - walked[-1]) ** power) for power in range(len(slopes))]
        x = x + _weighted(slopes, _lagrange(walked - walked[-1], moments))
        yield x, x0


def _lambda(sigma: float) -> float:
    return math.log((1 - sigma) / sigma)


def _finite_lambda(sigmas: Sequence[float], shift: float) -> Sequence[float]:
    """A first sigma of 1, where lambda is infinite, is replaced by the sigma at t = 0.9999."""
    return sigmas if sigmas[0] < 1 else [float(np.float32(shift_time(0.9999, shift))), *sigmas[1:]]


def _halfway(sigma: float, sigma_next: float) -> float:
    """The sigma halfway in lambda, to the very bit of float32: a Brownian tree gives other noise beside it."""
    lambda_, lambda_next = -torch.tensor([sigma, sigma_next]).logit()
    return float(torch.sigmoid(-(lambda_ + 0.5 * (lambda_next - lambda_))))


def _sde_step(x: Tensor, x0: Tensor, sigma: float, sigma_next: float, noise: Noise) -> Tensor:
    """The diffusion SDE (eta 1) solved exactly for a constant x0."""
    h = _lambda(sigma_next) - _lambda(sigma)
    kept, gone = sigma_next / sigma * math.exp(-h), -math.expm1(-2 * h)
    return kept * x + (1 - sigma_next) * gone * x0 + sigma_next * math.sqrt(gone) * noise(sigma, sigma_next)


def _adams_step(
    x: Tensor, x0s: Sequence[Tensor], x0_sigmas: Sequence[float], sigma: float, sigma_next: float, tau: float
) -> Tensor:
    """x at sigma_next, without its noise, for an x0 that follows the polynomial in lambda through the x0s.

    With a = 1 + tau**2 and u = lambda - lambda_next, the integrals of a e**(a u) u**p over the step follow from each
    other by parts (the paper's equations 15 and 18).
    """
    a, h = 1 + tau**2, _lambda(sigma_next) - _lambda(sigma)
    moments = [-math.expm1(-a * h)]
    for power in range(1, len(x0s)):
        moments.append(-math.exp(-a * h) * (-h) ** power - power / a * moments[-1])
    weights = _lagrange(np.array([_lambda(s) - _lambda(sigma_next) for s in x0_sigmas]), moments)
    return sigma_next / sigma * math.exp(-(tau**2) * h) * x + (1 - sigma_next) * _weighted(x0s, weights)


def _lagrange(nodes: NDArray[np.float64], moments: Sequence[float]) -> list[float]:
    """Weights that turn values at the nodes into the integral of their polynomial, given the powers' integrals."""
    return cast(list[float], np.linalg.solve(np.vander(nodes, increasing=True).T, moments).tolist())


def _weighted(terms: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    total = weights[0] * terms[0]
    for weight, term in zip(weights[1:], terms[1:], strict=True):
        total = total + weight * term
    return total


def _vp_time(sigma: NDArray[np.float64]) -> NDArray[np.float64]:
    """The time at which a variance-preserving diffusion with linear beta has this noise-to-signal ratio.

    beta is such that 0.001 … 1 stands for 0.002 … 80 (Karras et al. 2022, arXiv 2206.00364, table 1 and appendix C).
    """
    low, high = math.log1p(0.002**2), math.log1p(80**2)
    slope = 2 * (high - low / 0.001) / (1 - 0.001)
    start = high - slope / 2
    return (np.sqrt(start**2 + 2 * slope * np.log1p(sigma**2)) - start) / slope


def _method(sampler: str) -> "_Method":
    if sampler not in _METHODS:
        raise ValueError(f"sampler {sampler!r} is not known; choose one of {', '.join(SAMPLERS)}")
    return _METHODS[sampler]


def _checked(sigmas: Tensor) -> list[float]:
    """The sigmas as Python floats, repeats left out. Some shifts round a first sigma of 1 up by a hair."""
    walk = cast(list[float], sigmas.to("cpu", torch.float32).tolist()) if sigmas.ndim == 1 else []
    if not walk or not 1 + 1e-6 >= walk[0] >= walk[-1] >= 0 or any(not a >= b for a, b in pairwise(walk)):
        raise ValueError("sigmas must be one row of numbers that fall from at most 1 to at least 0")
    return list(dict.fromkeys(walk))


@dataclass(frozen=True)
class _Method:
    solve: Callable[[_Denoise, Tensor, Sequence[float], Noise, float], Steps]
    calls_per_step: int = 1
    brownian_on: Literal["cpu", "device"] | None = None

    def noise(self, seeds: Sequence[int], x: Tensor, sigmas: Sequence[float]) -> Noise:
        if self.brownian_on is None:
            return white_noise(seeds, x)
        return brownian_noise(seeds, x, sigmas, torch.device("cpu") if self.brownian_on == "cpu" else x.device)


_METHODS = {
    "er_sde": _Method(er_sde),
    "euler_a": _Method(euler_a),
    "dpmpp_2m_sde_gpu": _Method(dpmpp_2m_sde, brownian_on="device"),
    "euler": _Method(euler),
    "heun": _Method(heun, calls_per_step=2),
    "dpmpp_2m": _Method(dpmpp_2m),
    "dpmpp_sde": _Method(dpmpp_sde, calls_per_step=2, brownian_on="cpu"),
    "lcm": _Method(lcm),
    "res_multistep": _Method(res_multistep),
    "sa_solver_pece": _Method(sa_solver_pece, calls_per_step=2),
    "deis": _Method(deis),
}

#: Names that `sample` takes; the default comes first, then those usual for Anima.
SAMPLERS: tuple[str, ...] = tuple(_METHODS)
