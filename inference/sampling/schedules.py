"""Schedules: the noise levels that an image passes through while it is denoised.

Rectified flow mixes `x = sigma * noise + (1 - sigma) * latent`. Time t goes over 1/1000 … 1, and a shift above 1 raises
the noise levels: `sigma = shift * t / (1 + (shift - 1) * t)`. A scheduler chooses times, entries of the table of
sigmas, or the sigmas themselves.

A schedule is the same on every processor. The arithmetic is in float32, in ComfyUI's order, and uses only operations
that IEEE 754 defines to the bit. Powers and functions are computed in float64 and rounded once: PyTorch's own differ in
the last bit between instruction sets, and so does its linspace.
"""

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

Time = TypeVar("Time", Tensor, float)

#: Entries of the sigma table, the grid of times that a discrete model is trained on.
TIMES = 1000


def sigmas(
    scheduler: str,
    steps: int,
    shift: float = 3.0,
    *,
    denoise: float = 1.0,
    beta: tuple[float, float] | None = None,
) -> Tensor:
    """The noise levels for `steps` steps, strictly falling (up to 1000 steps) and ending in 0.

    `denoise` below 1 is for images that start from a latent: only the last `steps` steps of the schedule for
    `int(steps / denoise)` steps are returned, so the first sigma is below 1.

    beta: alpha and beta for the scheduler `beta`, instead of 0.6 and 0.6.

    Returns float32 [steps + 1] on the CPU. `beta` and `beta57` give fewer if several steps fall on one table entry;
    `ddim_uniform`, whose stride is a whole number, gives more or fewer if `steps` does not divide 1000.

    Raises ValueError for an unknown scheduler (listing the known ones), fewer than 1 step, a denoise outside (0, 1],
    or a shift that is not positive.
    """
    if scheduler not in _SCHEDULERS:
        raise ValueError(f"scheduler {scheduler!r} is not known; choose one of {', '.join(SCHEDULERS)}")
    if steps < 1:
        raise ValueError(f"steps is {steps}; a schedule needs at least 1")
    if not 0 < denoise <= 1:
        raise ValueError(f"denoise is {denoise}; it must be above 0 and at most 1")
    if not 0 < shift < math.inf:
        raise ValueError(f"shift is {shift}; it must be a positive number")
    pick = _SCHEDULERS[scheduler]
    if scheduler == "beta" and beta is not None:
        a, b = beta

        def pick(table: Tensor, steps: int, shift: float) -> Tensor:
            return _beta_quantiles(table, steps, a, b)

    if denoise > 0.9999:
        return _schedule(pick, steps, shift)
    return _schedule(pick, int(steps / denoise), shift)[-(steps + 1) :]


def shift_time(t: Time, shift: float) -> Time:
    """Sigma at time t in 0…1 (Esser et al. 2024, "Scaling Rectified Flow Transformers", equation 23)."""
    return shift * t / (1 + (shift - 1) * t)


def linspace(start: float, end: float, count: int) -> Tensor:
    """`torch.linspace` in float32, on every processor with the values of those that have fused multiply-add.

    Values are computed from the nearer end. A product of two float32 numbers is exact in float64, so the sum is rounded
    to float32 as a fused multiply-add rounds it.
    """
    first, last = (np.float32(value) for value in (start, end))
    step = np.float64((last - first) / np.float32(max(count - 1, 1)))
    places = np.arange(count)
    upward = np.float64(first) + step * places
    downward = np.float64(last) - step * (count - 1 - places)
    nearer_start = (places < count // 2) | (count == 1)
    return torch.from_numpy(np.where(nearer_start, upward, downward).astype(np.float32))


def _schedule(pick: Callable[[Tensor, int, float], Tensor], steps: int, shift: float) -> Tensor:
    table = shift_time(torch.arange(1, TIMES + 1) / TIMES, shift)
    walk = pick(table, steps, shift)
    return torch.cat([walk, walk.new_zeros(1)])


def simple(table: Tensor, steps: int, shift: float) -> Tensor:
    """Every (1000 / steps)-th entry, from the top."""
    stride = TIMES / steps
    return table[[TIMES - 1 - int(i * stride) for i in range(steps)]]


def normal(table: Tensor, steps: int, shift: float) -> Tensor:
    """Evenly spaced between the table's ends, then shifted once more (the ends are sigmas, but treated as times)."""
    return shift_time(linspace(float(table[-1]), float(table[0]), steps), shift)


def sgm_uniform(table: Tensor, steps: int, shift: float) -> Tensor:
    """`normal` with one more point, but without the last point: the final step is as long as the others."""
    return normal(table, steps + 1, shift)[:-1]


def ddim_uniform(table: Tensor, steps: int, shift: float) -> Tensor:
    """Every (1000 // steps)-th entry, counted up from the second, so it rarely starts at the top."""
    return table[1 :: max(TIMES // steps, 1)].flip(0)


def karras(table: Tensor, steps: int, shift: float) -> Tensor:
    """Even in sigma ** (1/7) (Karras et al. 2022, arXiv 2206.00364, equation 5)."""
    top, bottom = math.pow(float(table[-1]), 1 / 7), math.pow(float(table[0]), 1 / 7)
    root = (top + linspace(0, 1, steps) * (bottom - top)).double()
    square = root * root
    return (square * square * square * root).float()


def exponential(table: Tensor, steps: int, shift: float) -> Tensor:
    """Even in log sigma."""
    return _rounded(math.exp, linspace(math.log(table[-1]), math.log(table[0]), steps))


def _rounded(function: Callable[[float], float], values: Tensor) -> Tensor:
    """Apply a function to float32 values, in float64, and round once to float32."""
    return torch.tensor([function(value) for value in values.tolist()])


def kl_optimal(table: Tensor, steps: int, shift: float) -> Tensor:
    """Even in arctan sigma (Sabour et al. 2024, "Align Your Steps", arXiv 2404.14507)."""
    walked = torch.arange(steps, dtype=torch.float32) / max(steps - 1, 1)
    return _rounded(math.tan, walked * math.atan(table[0]) + (1 - walked) * math.atan(table[-1]))


def linear_quadratic(table: Tensor, steps: int, shift: float) -> Tensor:
    """Half the steps remove the first 2.5 % of noise evenly; the rest follow a parabola that continues their slope
    (Polyak et al. 2024, "Movie Gen", arXiv 2410.13720, section 3.4.2)."""
    half = steps // 2
    if half == 0:
        return table[-1:]
    slope = 0.025 / half
    bend = (1 - slope * steps) / (steps - half) ** 2
    removed = [slope * i + bend * max(i - half, 0) ** 2 for i in range(steps)]
    return torch.tensor([1 - part for part in removed]) * table[-1]


def beta(table: Tensor, steps: int, shift: float) -> Tensor:
    """Times at the quantiles of Beta(0.6, 0.6): dense at both ends (Lee et al. 2024, arXiv 2407.12173)."""
    return _beta_quantiles(table, steps, 0.6, 0.6)


def beta57(table: Tensor, steps: int, shift: float) -> Tensor:
    """Times at the quantiles of Beta(0.5, 0.7): denser at low noise, where details form."""
    return _beta_quantiles(table, steps, 0.5, 0.7)


def _beta_quantiles(table: Tensor, steps: int, a: float, b: float) -> Tensor:
    from scipy.special import betaincinv  # SciPy is slow to import and only these two schedules need it

    quantiles = betaincinv(a, b, 1 - np.linspace(0, 1, steps, endpoint=False))
    entries = np.rint(quantiles * (TIMES - 1)).astype(int).tolist()
    return table[list(dict.fromkeys(entries))]


_SCHEDULERS: dict[str, Callable[[Tensor, int, float], Tensor]] = {
    scheduler.__name__: scheduler
    for scheduler in (
        simple,
        beta57,
        beta,
        normal,
        sgm_uniform,
        ddim_uniform,
        karras,
        exponential,
        kl_optimal,
        linear_quadratic,
    )
}

#: Names that `sigmas` accepts, those usual for Anima first.
SCHEDULERS: tuple[str, ...] = tuple(_SCHEDULERS)
