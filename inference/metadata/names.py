"""What other programs call the samplers and schedulers."""

import re

#: Ours (those of `inference.request`), A1111's and its descendants' (Forge, reForge, Forge Neo), ComfyUI's. A1111
#: itself lacks some of them; there the name is that of the descendant that has it.
SAMPLER_NAMES = (
    ("er_sde", "ER SDE", "er_sde"),
    ("euler_a", "Euler a", "euler_ancestral"),
    ("dpmpp_2m_sde_gpu", "DPM++ 2M SDE", "dpmpp_2m_sde_gpu"),
    ("euler", "Euler", "euler"),
    ("heun", "Heun", "heun"),
    ("dpmpp_2m", "DPM++ 2M", "dpmpp_2m"),
    ("dpmpp_sde", "DPM++ SDE", "dpmpp_sde"),
    ("lcm", "LCM", "lcm"),
    ("res_multistep", "Res Multistep", "res_multistep"),
    ("sa_solver_pece", "SA Solver PECE", "sa_solver_pece"),
    ("deis", "DEIS", "deis"),
)
SCHEDULER_NAMES = (
    ("simple", "Simple", "simple"),
    ("normal", "Normal", "normal"),
    ("sgm_uniform", "SGM Uniform", "sgm_uniform"),
    ("ddim_uniform", "DDIM", "ddim_uniform"),
    ("karras", "Karras", "karras"),
    ("exponential", "Exponential", "exponential"),
    ("kl_optimal", "KL Optimal", "kl_optimal"),
    ("linear_quadratic", "Linear Quadratic", "linear_quadratic"),
    ("beta", "Beta", "beta"),
    ("beta57", "Beta57", "beta57"),
)
# The same solver, with its noise drawn on another device.
_SAMPLER_ALIASES = {"dpmpp_2m_sde": "dpmpp_2m_sde_gpu", "dpmpp_sde_gpu": "dpmpp_sde"}
_SCHEDULER_ALIASES = {"Beta57 (RES4LYF)": "beta57"}


def webui_sampler(ours: str) -> str:
    return _WEBUI_SAMPLERS.get(ours, ours)


def webui_scheduler(ours: str) -> str:
    return _WEBUI_SCHEDULERS.get(ours, ours)


def comfyui_sampler(ours: str) -> str:
    return _COMFYUI_SAMPLERS.get(ours, ours)


def our_sampler(name: str) -> str:
    """Our name of a sampler that any of the programs named (NovelAI puts `k_` in front); other names stay."""
    return _OUR_SAMPLERS.get(_folded(name.removeprefix("k_")), name)


def our_scheduler(name: str) -> str:
    return _OUR_SCHEDULERS.get(_folded(name), name)


def our_sampler_and_scheduler(name: str) -> tuple[str, str | None]:
    """Older A1111 wrote both as one name, `DPM++ 2M SDE Karras`."""
    sampler, _, last = name.rpartition(" ")
    if _folded(name) not in _OUR_SAMPLERS and _folded(sampler) in _OUR_SAMPLERS and _folded(last) in _OUR_SCHEDULERS:
        return our_sampler(sampler), our_scheduler(last)
    return our_sampler(name), None


def _folded(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()


_WEBUI_SAMPLERS = {ours: webui for ours, webui, _ in SAMPLER_NAMES}
_COMFYUI_SAMPLERS = {ours: comfyui for ours, _, comfyui in SAMPLER_NAMES}
_WEBUI_SCHEDULERS = {ours: webui for ours, webui, _ in SCHEDULER_NAMES}
_OUR_SAMPLERS = {_folded(name): row[0] for row in SAMPLER_NAMES for name in row} | {
    _folded(alias): ours for alias, ours in _SAMPLER_ALIASES.items()
}
_OUR_SCHEDULERS = {_folded(name): row[0] for row in SCHEDULER_NAMES for name in row} | {
    _folded(alias): ours for alias, ours in _SCHEDULER_ALIASES.items()
}
