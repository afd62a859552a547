"""Facts about samplers that need no PyTorch: what a step asks of the network, and settings apart from the schedule."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

#: How often a step of these samplers asks the network; one of any other asks once, as the last step of each does.
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
#: About how often `dpm_adaptive` asks the network, whatever the number of steps: it chooses its own. With the miniature
#: 21 to 27 times.
ADAPTIVE_CALLS = 24

#: As ComfyUI's SamplerER_SDE names them: the paper's noise, that of the reverse-time SDE, and none.
ER_SDE_SOLVERS = ("ER-SDE", "Reverse-time SDE", "ODE")
MAX_STAGE = 3
MAX_NOISE = 100.0


def network_calls(sampler: str, steps: int) -> int:
    """How often the network is asked for an image of so many steps, 1 or more; of `dpm_adaptive` about how often.

    The last two steps of `heunpp2` ask as often as there are steps left.
    """
    if sampler == "dpm_adaptive":
        return ADAPTIVE_CALLS
    calls = CALLS_PER_STEP.get(sampler, 1)
    if sampler == "heunpp2":
        return sum(min(calls, left) for left in range(1, steps + 1))
    return calls * (steps - 1) + 1


def is_cfg_pp(sampler: str) -> bool:
    """Whether a sampler is a CFG++ form, which needs the negative's x0 too, also at CFG 1."""
    return sampler.endswith("_cfg_pp")


@dataclass(frozen=True)
class ErSdeSettings:
    """The settings of the sampler `er_sde`, as ComfyUI's node SamplerER_SDE has them.

    solver_type: one of `ER_SDE_SOLVERS`.
    max_stage: the most steps that one step looks at, itself included, 1 to 3.
    eta: how much noise `Reverse-time SDE` draws, 0 to 100; the others do not use it.
    s_noise: a factor of the noise that is drawn, 0 to 100.
    """

    solver_type: str = "ER-SDE"
    max_stage: int = 3
    eta: float = 1.0
    s_noise: float = 1.0

    def problem(self) -> str | None:
        """What is wrong with the settings, as part of a sentence; None if nothing."""
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
