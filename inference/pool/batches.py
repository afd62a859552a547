"""Which requests can be generated together."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace

from inference.request import GenerationRequest
from inference.sampling import draws_alone


def batches(requests: Sequence[GenerationRequest], models: Sequence[str], largest: int | None) -> Iterator[list[int]]:
    """Positions of the requests that can be generated together, in the order of each group's first request.

    models: the name of each request's model. All batches of one model come before those of the next.
    largest: the most requests in a batch; None for no limit.
    """
    found: dict[str, dict[Hashable, list[int]]] = {}
    for position, (request, model) in enumerate(zip(requests, models, strict=True)):
        key = position if draws_alone(request.sampler) else replace(request, model=model).batch_key
        found.setdefault(model, {}).setdefault(key, []).append(position)
    for of_model in found.values():
        for batch in of_model.values():
            size = largest or len(batch)
            yield from (batch[first : first + size] for first in range(0, len(batch), size))
