"""Draw Things' names of samplers, which say the schedule as well."""

from inference.metadata.names import our_sampler, our_sampler_and_scheduler

#: Endings that are schedules. Evenly spaced times from the noisiest on are "simple" for rectified flow; the others
#: are no scheduler here and keep their names.
_SCHEDULES = {"Trailing": "simple", "Substep": "Substep", "AYS": "AYS"}


def sampler_and_scheduler(name: str) -> tuple[str, str | None]:
    """Our sampler's name, and the scheduler as far as the name says it."""
    sampler, _, ending = name.rpartition(" ")
    if sampler and ending in _SCHEDULES:
        return our_sampler(sampler), _SCHEDULES[ending]
    return our_sampler_and_scheduler(name)
