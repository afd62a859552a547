"""Computes how many steps a schedule has: some schedulers give fewer than requested, which graphs do not show."""

from inference.metadata.parameters import BETA_SCHEDULE, Parameters

#: Schedulers that drop repeats, or whose stride is a whole number.
_OTHER_LENGTHS = ("beta", "beta57", "ddim_uniform")
#: Longer schedules are not computed, because files are untrusted.
_MAX_STEPS = 20_000
#: The smallest alpha and beta that are computed; the quantiles of smaller ones are NaN.
_MIN_SHAPE = 0.01


def steps_of_schedule(scheduler: str | None, steps: int, shape: str | None = None) -> int:
    """The real number of steps of a schedule for `steps`; `steps` itself if that is not known.

    shape: the shape of a beta schedule without a name of its own, in the form that `Parameters.extra` has.
    """
    beta = Parameters(extra=((BETA_SCHEDULE, shape),)).beta if shape else None
    if beta is not None:
        scheduler = "beta"
    if scheduler not in _OTHER_LENGTHS or not 1 <= steps <= _MAX_STEPS:
        return steps
    if beta is not None and min(beta) < _MIN_SHAPE:
        return steps
    from inference.sampling.schedules import sigmas  # imports torch, which reading does not need otherwise

    return len(sigmas(scheduler, steps, beta=beta)) - 1
