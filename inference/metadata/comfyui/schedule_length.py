"""How many steps a schedule really has: some schedulers give fewer than requested, and graphs do not say so."""

from inference.metadata.parameters import BETA_SCHEDULE, Parameters

#: Schedulers that leave repeats out, or whose stride is a whole number.
_OTHER_LENGTHS = ("beta", "beta57", "ddim_uniform")
#: Steps of a whole schedule that are worked out for a file that anyone may have written.
_MAX_STEPS = 20_000
#: Of alpha and beta: the quantiles of smaller ones are no numbers.
_MIN_SHAPE = 0.01


def steps_of_schedule(scheduler: str | None, steps: int, shape: str | None = None) -> int:
    """Steps that a schedule for `steps` has; `steps` where that cannot be known.

    shape: of a beta schedule that has no name of its own, as `Parameters.extra` holds it.
    """
    beta = Parameters(extra=((BETA_SCHEDULE, shape),)).beta if shape else None
    if beta is not None:
        scheduler = "beta"
    if scheduler not in _OTHER_LENGTHS or not 1 <= steps <= _MAX_STEPS:
        return steps
    if beta is not None and min(beta) < _MIN_SHAPE:
        return steps
    from inference.sampling.schedules import sigmas  # brings torch, which reading does not need otherwise

    return len(sigmas(scheduler, steps, beta=beta)) - 1
