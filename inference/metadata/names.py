"""Other programs' names of samplers and schedulers."""

import re

#: Our names (those of `inference.request`), those of A1111 and its forks (Forge, reForge, Forge Neo), and ComfyUI's.
#: If A1111 itself lacks a sampler, the second name is that of a fork that has it.
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
    ("ddim", "DDIM", "ddim"),
    ("ddpm", "DDPM", "ddpm"),
    ("dpm_2", "DPM2", "dpm_2"),
    ("dpm_2_ancestral", "DPM2 a", "dpm_2_ancestral"),
    ("dpm_adaptive", "DPM adaptive", "dpm_adaptive"),
    ("dpm_fast", "DPM fast", "dpm_fast"),
    ("dpmpp_2m_cfg_pp", "DPM++ 2M CFG++", "dpmpp_2m_cfg_pp"),
    ("dpmpp_2m_sde", "DPM++ 2M SDE CPU", "dpmpp_2m_sde"),
    ("dpmpp_2m_sde_heun", "DPM++ 2M SDE Heun CPU", "dpmpp_2m_sde_heun"),
    ("dpmpp_2m_sde_heun_gpu", "DPM++ 2M SDE Heun", "dpmpp_2m_sde_heun_gpu"),
    ("dpmpp_2s_ancestral", "DPM++ 2S a", "dpmpp_2s_ancestral"),
    ("dpmpp_2s_ancestral_cfg_pp", "DPM++ 2S a CFG++", "dpmpp_2s_ancestral_cfg_pp"),
    ("dpmpp_3m_sde", "DPM++ 3M SDE CPU", "dpmpp_3m_sde"),
    ("dpmpp_3m_sde_gpu", "DPM++ 3M SDE", "dpmpp_3m_sde_gpu"),
    ("dpmpp_sde_gpu", "DPM++ SDE GPU", "dpmpp_sde_gpu"),
    ("euler_ancestral_cfg_pp", "Euler a CFG++", "euler_ancestral_cfg_pp"),
    ("euler_cfg_pp", "Euler CFG++", "euler_cfg_pp"),
    ("exp_heun_2_x0", "Exp Heun 2 x0", "exp_heun_2_x0"),
    ("exp_heun_2_x0_sde", "Exp Heun 2 x0 SDE", "exp_heun_2_x0_sde"),
    ("gradient_estimation", "Gradient Estimation", "gradient_estimation"),
    ("gradient_estimation_cfg_pp", "Gradient Estimation CFG++", "gradient_estimation_cfg_pp"),
    ("heunpp2", "HeunPP2", "heunpp2"),
    ("ipndm", "IPNDM", "ipndm"),
    ("ipndm_v", "IPNDM_V", "ipndm_v"),
    ("lms", "LMS", "lms"),
    ("res_multistep_ancestral", "Res Multistep Ancestral", "res_multistep_ancestral"),
    ("res_multistep_ancestral_cfg_pp", "Res Multistep Ancestral CFG++", "res_multistep_ancestral_cfg_pp"),
    ("res_multistep_cfg_pp", "Res Multistep CFG++", "res_multistep_cfg_pp"),
    ("sa_solver", "SA Solver", "sa_solver"),
    ("seeds_2", "SEEDS 2", "seeds_2"),
    ("seeds_3", "SEEDS 3", "seeds_3"),
    ("uni_pc", "UniPC", "uni_pc"),
    ("uni_pc_bh2", "UniPC BH2", "uni_pc_bh2"),
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
_SAMPLER_ALIASES = {
    "DPM++ 2M SDE GPU": "dpmpp_2m_sde_gpu",
    "DPM++ 2M SDE Heun GPU": "dpmpp_2m_sde_heun_gpu",
    "DPM++ 3M SDE GPU": "dpmpp_3m_sde_gpu",
    "Heun++": "heunpp2",
    "HeunPP": "heunpp2",
}
#: A1111's "Uniform" spaces timesteps like "Normal".
_SCHEDULER_ALIASES = {"Beta57 (RES4LYF)": "beta57", "Uniform": "normal"}
#: What A1111's schedule type "Automatic" means for its samplers.
_AUTOMATIC = {
    **dict.fromkeys(("dpmpp_2m", "dpmpp_sde", "dpmpp_2s_ancestral", "dpm_2", "dpm_2_ancestral"), "karras"),
    **dict.fromkeys(("dpmpp_2m_sde_gpu", "dpmpp_2m_sde_heun_gpu", "dpmpp_3m_sde_gpu"), "exponential"),
    **dict.fromkeys(("euler", "euler_a", "heun", "lms"), "normal"),
}
_MAX_NAME_LENGTH = 100


def webui_sampler(ours: str) -> str:
    return _WEBUI_SAMPLERS.get(ours, ours)


def webui_scheduler(ours: str) -> str:
    return _WEBUI_SCHEDULERS.get(ours, ours)


def comfyui_sampler(ours: str) -> str:
    return _COMFYUI_SAMPLERS.get(ours, ours)


def our_sampler(name: str) -> str:
    """Our name for any program's name of a sampler (NovelAI adds `k_`); unknown names are returned unchanged."""
    return _OUR_SAMPLERS.get(_folded(name.removeprefix("k_")), name)


def our_scheduler(name: str) -> str:
    return _OUR_SCHEDULERS.get(_folded(name), name)


def automatic_scheduler(ours: str) -> str:
    """The scheduler that "Automatic" means for a sampler; "Automatic" if that is not known."""
    return _AUTOMATIC.get(ours, "Automatic")


def our_sampler_and_scheduler(name: str) -> tuple[str, str | None]:
    """Splits a name for both: `DPM++ 2M SDE Karras` by older A1111, `er_sde_simple` by nodes that write its texts."""
    if _folded(name) not in _OUR_SAMPLERS:
        for between in re.finditer(r"[ _]", name[:_MAX_NAME_LENGTH]):
            sampler, scheduler = name[: between.start()], name[between.end() :]
            if _folded(sampler) in _OUR_SAMPLERS and scheduler == "Automatic":
                return our_sampler(sampler), automatic_scheduler(our_sampler(sampler))
            if _folded(sampler) in _OUR_SAMPLERS and _folded(scheduler) in _OUR_SCHEDULERS:
                return our_sampler(sampler), our_scheduler(scheduler)
    return our_sampler(name), None


def _folded(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold().replace("ancestral", "a")


_WEBUI_SAMPLERS = {ours: webui for ours, webui, _ in SAMPLER_NAMES}
_COMFYUI_SAMPLERS = {ours: comfyui for ours, _, comfyui in SAMPLER_NAMES}
_WEBUI_SCHEDULERS = {ours: webui for ours, webui, _ in SCHEDULER_NAMES}
_OUR_SAMPLERS = {_folded(name): row[0] for row in SAMPLER_NAMES for name in row} | {
    _folded(alias): ours for alias, ours in _SAMPLER_ALIASES.items()
}
_OUR_SCHEDULERS = {_folded(name): row[0] for row in SCHEDULER_NAMES for name in row} | {
    _folded(alias): ours for alias, ours in _SCHEDULER_ALIASES.items()
}
