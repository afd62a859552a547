"""From noise to a latent: schedules, noise, and samplers.

    from inference.sampling import initial_noise, sample, sigmas

    schedule = sigmas("beta57", steps=30)
    x = schedule[0] * initial_noise(7, 1, 16, 1, 128, 128)
    latent = sample("er_sde", denoiser, x, schedule, seeds=[7])

This package works on tensors and numbers only; it knows nothing about networks, prompts or images.
"""

from inference.sampling.noise import initial_noise
from inference.sampling.samplers import SAMPLERS, draws_alone, needs_unguided, sample
from inference.sampling.schedules import SCHEDULERS, sigmas

__all__ = [
    "SAMPLERS",
    "SCHEDULERS",
    "draws_alone",
    "initial_noise",
    "needs_unguided",
    "sample",
    "sigmas",
]
