"""Samplers: from noise to a latent along a schedule.

`sample` is the entry point. The solvers are in modules by kind: `one_step`, `multistep`,
`dpm_solver`, `exponential`, `predictor_corrector`, `cfg_pp`; `solver` has their shared parts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Literal, cast

import torch
from torch import Tensor

from inference.sampling import cfg_pp, dpm_solver, exponential, multistep, one_step, predictor_corrector
from inference.sampling.masks import Redraw
from inference.sampling.noise import Noise, brownian_noise, white_noise
from inference.sampling.solver import Steps
from inference.solver_settings import ErSdeSettings, is_cfg_pp

#: `denoiser(x, sigma)` returns x0, of x's shape and dtype. sigma is a float32 scalar tensor on the CPU, so that reading
#: it does not wait for the device. For samplers with `needs_unguided`, it returns the pair (guided, unguided).
Denoiser = Callable[[Tensor, Tensor], Tensor | tuple[Tensor, Tensor]]

#: `on_step(step, steps, x0)`, called after steps with the latent as predicted so far; the last call has step = steps.
OnStep = Callable[[int, int, Tensor], None]


def sample(
    sampler: str,
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    seeds: Sequence[int],
    on_step: OnStep | None = None,
    *,
    shift: float = 3.0,
    er_sde: ErSdeSettings | None = None,
    mask: Tensor | None = None,
    latent: Tensor | None = None,
    differential: bool = False,
) -> Tensor:
    """Denoise x from sigmas[0] down to sigmas[-1]. The result is the latent itself if the last sigma is 0.

    x: [B, …], already noised to sigmas[0]; float32 gives the reference's numbers. seeds: one for each of the B
    images; each image is the same as if it were drawn alone. sigmas: falling, as from `schedules.sigmas`; steps between
    equal sigmas are left out. shift: the one the schedule was made with. er_sde: settings, only for the sampler of
    that name. `on_step` may raise to cancel.

    mask: [B, 1, H, W] or [1, 1, H, W], in pixels or in the latent's size, 1 where to draw and 0 where to keep `latent`.
    latent: of x's shape; x is this latent with noise added. With `differential`, values of the mask between 0 and 1 say
    how early a place is drawn (Levin & Fried 2023, arXiv 2306.00950).

    Raises ValueError for an unknown sampler (listing the known ones), seeds that do not fit the batch or are not
    64-bit, sigmas that are not a falling sequence within 0…1, a mask without its latent, settings that are invalid or
    for another sampler, or several images for a sampler that `draws_alone`.
    """
    method = _method(sampler)
    if er_sde is not None:
        if sampler != "er_sde" or (problem := er_sde.problem()):
            raise ValueError(f"er_sde has {problem}" if sampler == "er_sde" else f"{sampler} does not use er_sde")
        method = _Method(partial(exponential.er_sde, settings=er_sde))
    walk = _checked(sigmas)
    if len(seeds) != len(x):
        raise ValueError(f"{len(seeds)} seeds were given for {len(x)} images; give one for each")
    if (mask is None) is not (latent is None):
        raise ValueError("a mask and a latent go together; give both or neither")
    redraw = None if mask is None or latent is None else Redraw(mask, latent, x, walk, shift, differential)

    def denoise(x: Tensor, sigma: float) -> Any:
        level = torch.full((), sigma, dtype=torch.float32)
        if redraw is None:
            return denoiser(x, level)
        x0 = denoiser(redraw.blend_input(x, sigma), level)
        if isinstance(x0, Tensor):
            return redraw.blend_output(x0, sigma)
        guided, unguided = x0  # like ComfyUI, the mask applies to the guided x0 only
        return redraw.blend_output(guided, sigma), unguided

    with torch.no_grad():
        if method.alone and len(x) > 1:
            raise ValueError(f"{sampler} chooses its steps by the image; draw one image at a time with it")
        noise = method.noise(seeds, x, walk)
        step, steps, x0 = 0, len(walk) - 1, x
        for moved, x0 in method.solve(denoise, x, walk, noise, shift):
            x, step = moved, min(step + 1, steps)
            if on_step is not None:
                on_step(step, steps, x0)
        if on_step is not None and step < steps:
            on_step(steps, steps, x0)
    return x


def needs_unguided(sampler: str) -> bool:
    """Whether the denoiser must return the pair (guided, unguided), even at CFG 1. True for the CFG++ samplers.

    Raises ValueError for an unknown sampler.
    """
    _method(sampler)
    return is_cfg_pp(sampler)


def draws_alone(sampler: str) -> bool:
    """Whether the sampler takes one image at a time, because its steps depend on the image.

    Raises ValueError for an unknown sampler.
    """
    return _method(sampler).alone


def _method(sampler: str) -> "_Method":
    if sampler not in _METHODS:
        raise ValueError(f"sampler {sampler!r} is not known; choose one of {', '.join(SAMPLERS)}")
    return _METHODS[sampler]


def _checked(sigmas: Tensor) -> list[float]:
    """The sigmas as Python floats, without repeats. With some shifts, a first sigma of 1 is rounded up slightly."""
    walk = cast(list[float], sigmas.to("cpu", torch.float32).tolist()) if sigmas.ndim == 1 else []
    if not walk or not 1 + 1e-6 >= walk[0] >= walk[-1] >= 0 or any(not a >= b for a, b in pairwise(walk)):
        raise ValueError("sigmas must be one row of numbers that fall from at most 1 to at least 0")
    return list(dict.fromkeys(walk))


@dataclass(frozen=True)
class _Method:
    solve: Callable[[Any, Tensor, Sequence[float], Noise, float], Steps]
    brownian_on: Literal["cpu", "device"] | None = None
    alone: bool = False

    def noise(self, seeds: Sequence[int], x: Tensor, sigmas: Sequence[float]) -> Noise:
        if self.brownian_on is None:
            return white_noise(seeds, x)
        return brownian_noise(seeds, x, sigmas, torch.device("cpu") if self.brownian_on == "cpu" else x.device)


_METHODS = {
    "er_sde": _Method(exponential.er_sde),
    "euler_a": _Method(one_step.euler_a),
    "dpmpp_2m_sde_gpu": _Method(dpm_solver.dpmpp_2m_sde, brownian_on="device"),
    "euler": _Method(one_step.euler),
    "heun": _Method(one_step.heun),
    "dpmpp_2m": _Method(dpm_solver.dpmpp_2m),
    "dpmpp_sde": _Method(dpm_solver.dpmpp_sde, brownian_on="cpu"),
    "lcm": _Method(one_step.lcm),
    "res_multistep": _Method(multistep.res_multistep),
    "sa_solver_pece": _Method(predictor_corrector.sa_solver_pece),
    "deis": _Method(multistep.deis),
    "ddim": _Method(one_step.euler),
    "ddpm": _Method(one_step.ddpm),
    "dpm_2": _Method(one_step.dpm_2),
    "dpm_2_ancestral": _Method(one_step.dpm_2_ancestral),
    "dpm_adaptive": _Method(dpm_solver.dpm_adaptive, alone=True),
    "dpm_fast": _Method(dpm_solver.dpm_fast),
    "dpmpp_2m_cfg_pp": _Method(cfg_pp.dpmpp_2m_cfg_pp),
    "dpmpp_2m_sde": _Method(dpm_solver.dpmpp_2m_sde, brownian_on="cpu"),
    "dpmpp_2m_sde_heun": _Method(dpm_solver.dpmpp_2m_sde_heun, brownian_on="cpu"),
    "dpmpp_2m_sde_heun_gpu": _Method(dpm_solver.dpmpp_2m_sde_heun, brownian_on="device"),
    "dpmpp_2s_ancestral": _Method(dpm_solver.dpmpp_2s_ancestral),
    "dpmpp_2s_ancestral_cfg_pp": _Method(cfg_pp.dpmpp_2s_ancestral_cfg_pp),
    "dpmpp_3m_sde": _Method(dpm_solver.dpmpp_3m_sde, brownian_on="cpu"),
    "dpmpp_3m_sde_gpu": _Method(dpm_solver.dpmpp_3m_sde, brownian_on="device"),
    "dpmpp_sde_gpu": _Method(dpm_solver.dpmpp_sde, brownian_on="device"),
    "euler_ancestral_cfg_pp": _Method(cfg_pp.euler_ancestral_cfg_pp),
    "euler_cfg_pp": _Method(cfg_pp.euler_cfg_pp),
    "exp_heun_2_x0": _Method(exponential.exp_heun_2_x0),
    "exp_heun_2_x0_sde": _Method(exponential.exp_heun_2_x0_sde),
    "gradient_estimation": _Method(multistep.gradient_estimation),
    "gradient_estimation_cfg_pp": _Method(cfg_pp.gradient_estimation_cfg_pp),
    "heunpp2": _Method(one_step.heunpp2),
    "ipndm": _Method(multistep.ipndm),
    "ipndm_v": _Method(multistep.ipndm_v),
    "lms": _Method(multistep.lms),
    "res_multistep_ancestral": _Method(multistep.res_multistep_ancestral),
    "res_multistep_ancestral_cfg_pp": _Method(cfg_pp.res_multistep_ancestral_cfg_pp),
    "res_multistep_cfg_pp": _Method(cfg_pp.res_multistep_cfg_pp),
    "sa_solver": _Method(predictor_corrector.sa_solver),
    "seeds_2": _Method(exponential.seeds_2),
    "seeds_3": _Method(exponential.seeds_3),
    "uni_pc": _Method(predictor_corrector.uni_pc),
    "uni_pc_bh2": _Method(predictor_corrector.uni_pc_bh2),
}

#: Names that `sample` accepts: the default first, then those usual for Anima.
SAMPLERS: tuple[str, ...] = tuple(_METHODS)
