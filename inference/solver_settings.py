"""Settings of solvers, apart from the schedule; without PyTorch and quick to import."""

from dataclasses import dataclass, fields

#: As ComfyUI's SamplerER_SDE names them: the paper's noise, that of the reverse-time SDE, and none.
ER_SDE_SOLVERS = ("ER-SDE", "Reverse-time SDE", "ODE")
MAX_STAGE = 3
MAX_NOISE = 100.0


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
