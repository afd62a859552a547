"""Facts about samplers, without PyTorch: network calls per step, and settings apart from the schedule."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

#: Network calls per step. Other samplers make one, and so does the last step of each.
CALLS_PER_STEP: Mapping[str, int] = {
    "heun": 2,
    "dpmpp_sde": 2,
    "sa_solver_pece": 2,
    "dpm_2": 2,
    "dpm_2_ancestral": 2,
    "dpm_adaptive": 3,
    "dpmpp_2s_ancestral": 2,
    "dpmpp_2s_ancestral_cfg_pp": 2,
    "dpmpp_sde_gpu": 2,
    "exp_heun_2_x0": 2,
    "exp_heun_2_x0_sde": 2,
    "heunpp2": 3,
    "seeds_2": 2,
    "seeds_3": 3,
}
#: Approximate network calls of `dpm_adaptive`, which chooses its own steps. With the miniature: 21 to 27.
ADAPTIVE_CALLS = 24

#: As in ComfyUI's SamplerER_SDE: with the paper's noise, with that of the reverse-time SDE, and without noise.
ER_SDE_SOLVERS = ("ER-SDE", "Reverse-time SDE", "ODE")
MAX_STAGE = 3
MAX_NOISE = 100.0


def network_calls(sampler: str, steps: int) -> int:
    """The number of network calls for an image with `steps` steps, 1 or more; for `dpm_adaptive` an estimate.

    Each of the last two steps of `heunpp2` makes as many calls as there are steps left.
    """
    if sampler == "dpm_adaptive":
        return ADAPTIVE_CALLS
    calls = CALLS_PER_STEP.get(sampler, 1)
    if sampler == "heunpp2":
        return sum(min(calls, left) for left in range(1, steps + 1))
    return calls * (steps - 1) + 1


def is_cfg_pp(sampler: str) -> bool:
    """Whether a sampler is a CFG++ variant, which needs the negative's x0 even at CFG 1."""
    return sampler.endswith("_cfg_pp")


@dataclass(frozen=True)
class ErSdeSettings:
    """Settings of the sampler `er_sde`, as in ComfyUI's node SamplerER_SDE.

    solver_type: one of `ER_SDE_SOLVERS`.
    max_stage: how many steps one step takes into account at most, itself included, 1 to 3.
    eta: how much noise `Reverse-time SDE` adds, 0 to 100; the others do not use it.
    s_noise: a factor for the added noise, 0 to 100.
    """

    solver_type: str = "ER-SDE"
    max_stage: int = 3
    eta: float = 1.0
    s_noise: float = 1.0

    def problem(self) -> str | None:
        """What is wrong with the settings, as the end of a sentence; None if nothing."""
        if self.solver_type not in ER_SDE_SOLVERS:
            return f"the solver_type {self.solver_type!r}, but it must be one of: {', '.join(ER_SDE_SOLVERS)}"
        if isinstance(self.max_stage, bool) or self.max_stage not in range(1, MAX_STAGE + 1):
            return f"the max_stage {self.max_stage!r}, but it must be a whole number from 1 to {MAX_STAGE}"
        for name in ("eta", "s_noise"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_NOISE:
                return f"the {name} {value!r}, but it must be a number from 0 to {MAX_NOISE:g}"
        return None

    def __str__(self) -> str:
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return ", ".join(
            f"{name} {value if isinstance(value, str) else format(value, '.10g')}" for name, value in values
        )
