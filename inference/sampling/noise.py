"""Noise from seeds: an image's initial noise, and the noise that stochastic samplers add in each step.

A seed gives the same noise as in ComfyUI. Every image of a batch has its own generator, so it gets the same noise as
if it were drawn alone.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

#: `noise(sigma, sigma_next)`: unit noise for that step, of the shape, dtype and device of the latents.
Noise = Callable[[float, float], Tensor]

#: Seeds are whole numbers from 0 to SEEDS - 1.
SEEDS = 2**64


def initial_noise(seed: int, *shape: int | Sequence[int]) -> Tensor:
    """The noise an image starts from: float32, always on the CPU, so that a seed gives the same image on any device.

    `shape` is as for `torch.randn`, usually 1, 16, 1, height / 8, width / 8. On processors without AVX2, PyTorch's
    `randn` gives values that differ by up to 1.4e-6.
    """
    generator = _generator(seed, torch.device("cpu"))
    return torch.randn(*shape, dtype=torch.float32, generator=generator)  # type: ignore[arg-type]


def white_noise(seeds: Sequence[int], like: Tensor) -> Noise:
    """Fresh independent noise for every call, drawn on the latents' device.

    On the CPU the generator starts at seed + 1: with the seed itself the first draw would repeat `initial_noise`.
    """
    device = like.device
    first = 1 if device.type == "cpu" else 0
    generators = [_generator((_checked(seed) + first) % SEEDS, device) for seed in seeds]

    def noise(sigma: float, sigma_next: float) -> Tensor:
        images = [
            torch.randn((1, *like.shape[1:]), dtype=like.dtype, device=device, generator=generator)
            for generator in generators
        ]
        return torch.cat(images)

    return noise


def brownian_noise(seeds: Sequence[int], like: Tensor, sigmas: Sequence[float], device: torch.device) -> Noise:
    """Increments of one Brownian motion over sigma for each image, scaled to unit variance.

    The path depends on the seed alone, not on where the steps fall, so more steps refine the same image. It spans
    the positive sigmas, runs from high to low, and is drawn on `device` in float32.
    """
    from torchsde import BrownianTree  # only here, because it imports SciPy and few samplers need it

    start, end = min((sigma for sigma in sigmas if sigma > 0), default=0.0), max(sigmas)
    origin = torch.zeros((1, *like.shape[1:]), dtype=torch.float32, device=device)
    trees = [BrownianTree(t0=start, t1=end, w0=origin, entropy=_checked(seed)) for seed in seeds]

    def noise(sigma: float, sigma_next: float) -> Tensor:
        # The tree rounds its ends to six decimals, and warns about a time that lies slightly outside.
        increments = torch.cat([tree(round(sigma_next, 6), round(sigma, 6)) for tree in trees])
        return -(increments / math.sqrt(sigma - sigma_next)).to(like)

    return noise


def _generator(seed: int, device: torch.device) -> torch.Generator:
    return torch.Generator(device).manual_seed(_checked(seed))


def _checked(seed: int) -> int:
    if not 0 <= seed < SEEDS:
        raise ValueError(f"seed is {seed}; it must be a whole number from 0 to {SEEDS - 1}")
    return seed


def spherical_blend(first: Tensor, second: Tensor, strength: float) -> Tensor:
    """Interpolate from `first` (0) to `second` (1) on the arc between them, which keeps the norm that noise has."""
    cosine = torch.nn.functional.cosine_similarity(first.flatten(), second.flatten(), dim=0).clamp(-1, 1)
    angle = torch.arccos(cosine)
    if angle < 1e-3:
        return torch.lerp(first, second, strength)
    return (torch.sin((1 - strength) * angle) * first + torch.sin(strength * angle) * second) / torch.sin(angle)
