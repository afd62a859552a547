"""Translates Draw Things' names of samplers, which include the schedule."""

from inference.metadata.names import our_sampler, our_sampler_and_scheduler

#: Endings that are schedules. For rectified flow, "Trailing" (evenly spaced timesteps from the noisiest on) is
#: "simple"; the others are no schedulers here, and keep their names.
_SCHEDULES = {"Trailing": "simple", "Substep": "Substep", "AYS": "AYS"}


def sampler_and_scheduler(name: str) -> tuple[str, str | None]:
    """Our name of the sampler, and the scheduler if the name includes it."""
    sampler, _, ending = name.rpartition(" ")
    if sampler and ending in _SCHEDULES:
        return our_sampler(sampler), _SCHEDULES[ending]
    return our_sampler_and_scheduler(name)
